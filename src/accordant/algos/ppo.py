"""Proximal policy optimisation for language models (arXiv 1707.06347; for RLHF arXiv 1909.08593 and 2203.02155).

One action is one token. The reward model's score arrives at the last real token; at every token the policy pays `kl_coef` times
the estimated KL against the frozen reference. A value head gives the baseline, GAE the advantages, whitened over the step. The
policy and the value term are clipped around what they were when the rollout was made.

Left out on purpose: the KL is never in the loss (k1's gradient there is zero in expectation, see `ops.kl`); rewards are not
whitened with a shifted mean, which would change what the policy is paid for ending early.

Defaults are those of OpenAI's RLHF code as documented in "The N implementation details of RLHF with PPO" (2023): clip 0.2,
value weight 0.1, gamma 1, lambda 0.95, KL 0.05, adaptive horizon 10,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from accordant import config
from accordant.config import knob
from accordant.ops.clip import clipped_surrogate, clipped_value_loss
from accordant.ops.kl import AdaptiveKL, kl_estimate, sequence_kl
from accordant.ops.masked import explained_variance, last_index, masked_mean, masked_sum, whiten
from accordant.ops.returns import gae, token_rewards
from accordant.types import ActorCriticOut, Metrics, Sums, Valued

NEEDS_VALUE = True
MIN_SAMPLES_PER_PROMPT = 1


class Config(config.Config):
    """Knobs of PPO."""

    clip: float = knob(0.2, "how far a token's probability ratio may move before its gradient stops", gt=0)
    value_clip: float = knob(0.2, "how far a value may move before its gradient stops; inf = no clip", "reward", gt=0)
    value_coef: float = knob(0.1, "weight of the value loss", ge=0)
    entropy_coef: float = knob(0.0, "weight of the entropy bonus", ge=0)
    kl_coef: float = knob(0.05, "price of one nat of KL, fixed or where the adaptive one starts", "reward per nat", ge=0)
    kl_target: float | None = knob(None, "sequence KL that the price is steered to; none = fixed price", "nats", gt=0)
    kl_horizon: float = knob(10_000.0, "how slowly the adaptive price moves", "responses", gt=0)
    kl_estimator: Literal["k1", "k2", "k3"] = knob("k1", "estimator of the per-token KL in the reward")
    gamma: float = knob(1.0, "discount per token", ge=0, le=1)
    lam: float = knob(0.95, "lambda of GAE: 1 = whole return, 0 = one step", ge=0, le=1)
    whiten_advantages: bool = knob(True, "advantages to mean 0 and variance 1 over the tokens of the step")
    whiten_rewards: bool = knob(False, "token rewards to variance 1 over the step, their mean kept")
    bootstrap_truncated: bool = knob(False, "a response cut at the length limit ends in its last value instead of 0")


@dataclass(frozen=True)
class Targets:
    """What the loss compares with, fixed for the whole step."""

    mask: Tensor  # (B, T) bool
    old_logp: Tensor  # (B, T)
    old_value: Tensor  # (B, T)
    advantage: Tensor  # (B, T)
    returns: Tensor  # (B, T)


def init(cfg: Config) -> dict[str, float]:
    """The price of KL is PPO's only memory from step to step."""
    return {"kl_coef": cfg.kl_coef}


def prepare(step: Valued, state: dict[str, float], cfg: Config) -> tuple[Targets, dict[str, float], Metrics]:
    """Token rewards, advantages and returns of a whole step; then the price of KL for the next one."""
    scored, mask = step.scored, step.scored.rollout.response_mask
    kl = kl_estimate(scored.old_logp, scored.ref_logp, cfg.kl_estimator)
    rewards = token_rewards(scored.reward, state["kl_coef"] * kl, mask)
    if cfg.whiten_rewards:
        rewards = whiten(rewards, mask, shift_mean=False)
    bootstrap = _last_value(step) if cfg.bootstrap_truncated else None
    advantage, returns = gae(rewards, step.value, mask, cfg.gamma, cfg.lam, bootstrap)
    metrics: Metrics = {
        "kl_coef": (state["kl_coef"], 1.0),
        "explained_variance": (float(explained_variance(step.value, returns, mask)), 1.0),
        "advantage_mean": (float(masked_mean(advantage, mask)), 1.0),
    }
    if cfg.whiten_advantages:
        advantage = whiten(advantage, mask)
    if cfg.kl_target is not None:
        moved = sequence_kl(scored.old_logp, scored.ref_logp, mask)
        controller = AdaptiveKL(cfg.kl_target, cfg.kl_horizon)
        state = {"kl_coef": controller.update(state["kl_coef"], float(moved.mean()), len(moved))}
    return Targets(mask, scored.old_logp, step.value, advantage, returns), state, metrics


def _last_value(step: Valued) -> Tensor:
    """V at the last token of cut responses, 0 for finished ones: the best guess of what would have followed."""
    rollout = step.scored.rollout
    last = step.value.gather(1, last_index(rollout.response_mask)[:, None]).squeeze(1)
    return torch.where(rollout.finished, torch.zeros_like(last), last)


def counts(targets: Targets) -> dict[str, float]:
    tokens = float(targets.mask.sum())
    return {"policy": tokens, "value": tokens, "entropy": tokens}


def loss(out: ActorCriticOut, targets: Targets, cfg: Config) -> tuple[Sums, Metrics]:
    """Three sums over the response tokens: clipped policy loss, clipped value loss, minus the entropy."""
    mask, n = targets.mask, float(targets.mask.sum())
    policy, clipped = clipped_surrogate(out.logp, targets.old_logp, targets.advantage, cfg.clip)
    value, value_clipped = clipped_value_loss(out.value, targets.old_value, targets.returns, cfg.value_clip)
    # Without a bonus the entropy is only looked at: detached, it costs no backward pass through the vocabulary.
    entropy = out.entropy if cfg.entropy_coef else out.entropy.detach()
    sums = {
        "policy": masked_sum(policy, mask),
        "value": cfg.value_coef * masked_sum(value, mask),
        "entropy": -cfg.entropy_coef * masked_sum(entropy, mask),
    }
    with torch.no_grad():
        log_ratio = out.logp - targets.old_logp
        metrics: Metrics = {
            "policy_loss": (float(sums["policy"]), n),
            "value_loss": (float(masked_sum(value, mask)), n),
            "entropy": (float(masked_sum(out.entropy, mask)), n),
            "clip_fraction": (float(masked_sum(clipped.float(), mask)), n),
            "value_clip_fraction": (float(masked_sum(value_clipped.float(), mask)), n),
            "ratio": (float(masked_sum(log_ratio.exp(), mask)), n),
            "approx_kl": (float(masked_sum(kl_estimate(out.logp, targets.old_logp, "k3"), mask)), n),
        }
    return sums, metrics
