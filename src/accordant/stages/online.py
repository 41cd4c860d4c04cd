"""The online loop: prompts -> rollouts -> loss. This page is what a row experiences, in order.

1 prompts     the next P of a seeded permutation of each epoch
2 rollout     G responses per prompt, as sampled, with their log-probabilities
3 reward      every answer, as text, through the reward; penalties for unfinished ones
4 models      the trainer's own log-probabilities, the reference's, the critic's values
5 advantage   the algorithm's `prepare`, over the whole step
6 loss        minibatches of whole groups, cut into micro-batches, terms divided by their counts
7 step        clip, AdamW, schedule
8 account     metrics, saved state, and whether to stop
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from accordant.config import REQUIRED, Config, knob
from accordant.data.origin import about_data
from accordant.data.rows import read
from accordant.data.template import Template, encode_all, ensure_pad
from accordant.models.actor import Actor
from accordant.models.checkpoint import (
    ancestry,
    copy_weights,
    load_state,
    put_weights,
    save_checkpoint,
    save_state,
)
from accordant.models.critic import CriticConfig, load_critic
from accordant.models.generate import Sampling, check_context, generate, stop_ids
from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig, device
from accordant.models.optim import NotFinite, OptimConfig, Optimiser
from accordant.ops.batching import microbatches, minibatches, move, nearest_divisor, take, take_rollout
from accordant.ops.kl import sequence_kl
from accordant.rewards import Reward, RewardConfig
from accordant.rewards import load as load_reward
from accordant.seeds import generator, permutation
from accordant.stages.folder import StageFolder
from accordant.stages.gradient import Meter, accumulate, dump_and_stop, total_counts
from accordant.stages.text import answers
from accordant.types import Answer, Metrics, Prompt, Rollout, Scored, Step, Sums, UserError, Valued

ROUNDING = 0.05
"""Nats of a response's KL that low precision alone may explain."""


class StopConfig(Config):
    """When training ends before its last step; the report says which."""

    reward: float | None = knob(None, "mean reward of a step that is enough", "reward")
    kl: float | None = knob(
        None, "mean sequence KL of a step that is too much; the weights of the step before are kept", "nats", gt=0
    )


class OnlineConfig(Config):
    """Training on rollouts."""

    model: ModelConfig = knob(REQUIRED, "the policy to start from, which is also the frozen reference")
    prompts: str = knob(REQUIRED, "rows of prompts: a file, or hub:owner/name:split", min_length=1)
    reward: RewardConfig = knob(REQUIRED, "what an answer is worth")
    monitor: dict[str, RewardConfig] = knob({}, "further rewards, measured on every rollout and never optimised")
    algo: Config = knob(REQUIRED, "the algorithm's knobs")
    optim: OptimConfig = knob(OptimConfig(), "the optimiser")
    critic: CriticConfig | None = knob(None, "a critic of its own; none = a value head on the policy's trunk")
    stop: StopConfig = knob(StopConfig(), "when to end early")
    steps: int = knob(100, "rollout steps at most", "steps", gt=0)
    prompts_per_step: int = knob(64, "P, prompts of a step", "prompts", gt=0)
    samples_per_prompt: int = knob(1, "G, responses to each prompt", "responses", gt=0)
    minibatches_per_step: int = knob(1, "optimiser steps per epoch over a step's responses; divides the prompts", gt=0)
    epochs_per_step: int = knob(1, "passes over a step's responses", gt=0)
    tokens_per_microbatch: int = knob(
        16_384, "padded tokens in memory at once; changes results by rounding only", "tokens", gt=0
    )
    max_new_tokens: int = knob(48, "longest response", "tokens", gt=0)
    temperature: float = knob(1.0, "sampling temperature, in every log-probability", gt=0)
    missing_eos_penalty: float = knob(0.0, "taken off the reward of a response that was cut at the limit", "reward", ge=0)
    reward_clip: float | None = knob(
        None, "rewards are clipped to plus or minus this; the clipped share is logged", "reward", gt=0
    )
    value_lr_scale: float = knob(
        10.0, "learning rate of the critic relative to the policy's: a value head starts from zero, the policy does not", gt=0
    )
    critic_warmup: int = knob(0, "first steps that train the critic alone; the policy stays bit-identical", "steps", ge=0)
    max_ratio: float = knob(10.0, "a minibatch whose mean ratio is above this is logged and skipped", gt=1)
    save_every: int = knob(10, "steps between saved states", "steps", gt=0)
    seed: int = knob(0, "seed of prompts, sampling and minibatches")


def run(cfg: OnlineConfig, folder: StageFolder, algo: ModuleType, name: str) -> dict[str, Any]:
    """Train and write `checkpoint/`. Returns the small result."""
    check(cfg, algo, name)
    saved = load_state(folder.state)
    policy = LanguageModel.load(cfg.model, cfg.seed, saved["precision"] if saved else None)
    if said := ensure_pad(policy.tokenizer):
        folder.note(said)
    template = Template(policy.tokenizer, policy.context or 1 << 20)
    rows = read(cfg.prompts, Prompt)
    prompts = encode_all(rows, template)[0]
    check_context(policy, prompts, cfg.max_new_tokens)
    critic = load_critic(cfg.critic, policy) if cfg.critic else None
    loop = Loop(cfg, folder, algo, Actor(policy, algo.NEEDS_VALUE, critic), rows, prompts)
    loop.restore(saved)
    stopped = loop.train()
    meta = {"algo": name, "seed": cfg.seed, "steps": loop.step, **about_data(cfg.prompts), **ancestry(cfg.model.path)}
    save_checkpoint(folder.checkpoint, policy.module, policy.tokenizer, meta)
    last = loop.history[-1]
    return {
        "checkpoint": str(folder.checkpoint), "steps": loop.step, "stopped_because": stopped,
        "reward": last["reward"], "kl": last["kl"], "train_seconds": round(loop.seconds, 2),
        "responses": loop.step * cfg.prompts_per_step * cfg.samples_per_prompt, "precision": policy.precision,
    }  # fmt: skip


def check(cfg: OnlineConfig, algo: ModuleType, name: str) -> None:
    """What no single knob can say about itself."""
    if cfg.samples_per_prompt < algo.MIN_SAMPLES_PER_PROMPT:
        raise UserError(f"{name} needs samples_per_prompt >= {algo.MIN_SAMPLES_PER_PROMPT}, found {cfg.samples_per_prompt}")
    if cfg.prompts_per_step % cfg.minibatches_per_step:
        good = nearest_divisor(cfg.prompts_per_step, cfg.minibatches_per_step)
        raise UserError(
            f"minibatches_per_step={cfg.minibatches_per_step} does not divide prompts_per_step={cfg.prompts_per_step}; "
            f"the nearest that does is {good}"
        )
    if (cfg.critic_warmup or cfg.critic) and not algo.NEEDS_VALUE:
        raise UserError(f"{name} has no critic: leave out critic and critic_warmup")


@dataclass(frozen=True)
class Minibatch:
    """One micro-batch of a minibatch: a trimmed rollout and the targets of its rows."""

    rollout: Rollout
    targets: Any


class Loop:
    """One online training run: owns the optimiser, the algorithm's state, and where it stands."""

    def __init__(
        self, cfg: OnlineConfig, folder: StageFolder, algo: ModuleType, actor: Actor, rows: Sequence[Prompt],
        prompts: Sequence[Sequence[int]],
    ) -> None:  # fmt: skip
        self.cfg, self.folder, self.algo, self.actor, self.rows, self.prompts = cfg, folder, algo, actor, rows, prompts
        self.reward: Reward = load_reward(cfg.reward)
        self.monitor: dict[str, Reward] = {name: load_reward(inner) for name, inner in cfg.monitor.items()}
        self.parameters = actor.parameters()
        updates = cfg.steps * cfg.epochs_per_step * cfg.minibatches_per_step
        self.optimiser = Optimiser(self.parameters, cfg.optim, updates, {"value.": cfg.value_lr_scale})
        self.memory: dict[str, float] = algo.init(cfg.algo)
        self.sampling = Sampling(cfg.max_new_tokens, cfg.temperature, stop_ids(actor.policy), 4 * cfg.tokens_per_microbatch)
        self.step = 0
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []
        self.before: dict[str, Tensor] | None = None

    # --- where it stands ---

    def restore(self, saved: dict[str, Any] | None) -> None:
        """Go on from a saved state; everything random is a function of (seed, step), so nothing else is needed."""
        if saved is not None:
            put_weights(self.parameters, saved["weights"])
            self.optimiser.restore(saved["optimiser"])
            self.memory, self.step, self.seconds = saved["memory"], saved["step"], saved["seconds"]
            self.before = saved["before"]
            self.folder.note(f"going on from step {self.step}")
        self.folder.rewind_metrics(self.step)
        self.history = self.folder.metrics()

    def save(self) -> None:
        save_state(self.folder.state, {
            "weights": copy_weights(self.parameters), "optimiser": self.optimiser.state(), "memory": self.memory,
            "step": self.step, "seconds": self.seconds, "before": self.before, "precision": self.actor.policy.precision,
        })  # fmt: skip

    # --- the loop ---

    def train(self) -> str:
        """Steps until one of the reasons to stop holds; returns the reason."""
        with self.folder.progress(self.algo.__name__.rpartition(".")[2], self.cfg.steps, self.step) as bar:
            while self.step < self.cfg.steps:
                began = time.monotonic()
                stop = self.one_step()
                self.seconds += time.monotonic() - began
                row = self.history[-1]
                bar.advance(f"reward {row['reward']:.3f}  kl {row['kl']:.2f}")
                if stop:
                    self.folder.note(f"stopped because {stop}")
                    return stop
                if self.step % self.cfg.save_every == 0 and self.step < self.cfg.steps:
                    self.save()
        return f"the step limit was reached ({self.cfg.steps} steps)"

    def one_step(self) -> str | None:
        """One pass through stations 1-8; returns why to stop, or None."""
        times: dict[str, float] = {}
        clock = _Clock(times)
        rollout, said = self.roll_out()  # 1, 2
        clock.mark("rollout")
        reward, shaping = self.rewards(said, rollout)  # 3
        row = self._account(said, rollout, reward)
        clock.mark("reward")
        step = self.look(rollout, reward)  # 4
        scored = step.scored if isinstance(step, Valued) else step
        kl = sequence_kl(scored.old_logp, scored.ref_logp, rollout.response_mask)
        row |= {"kl": float(kl.mean()), "kl_sd": float(kl.std(correction=0)), "sampler_gap": _gap(rollout, scored.old_logp)}
        self._doubt(row, len(kl))
        clock.mark("models")
        stop = self._stop(row)
        if stop is None:
            self.before = copy_weights(self.parameters) if self.cfg.stop.kl is not None else None
            targets, self.memory, prepared = self.algo.prepare(step, self.memory, self.cfg.algo)  # 5
            row |= {name: total / count for name, (total, count) in prepared.items()} | shaping
            row |= self.update(rollout, targets)  # 6, 7
            clock.mark("update")
        row |= {"step": self.step, "seconds": self.seconds + clock.total(), "times": times}
        self.folder.metric(row)  # 8
        self.history.append(row)
        self.step += 1
        return stop

    def roll_out(self) -> tuple[Rollout, list[Answer]]:
        """Sample this step's responses and read them as text."""
        cfg = self.cfg
        chosen = self._prompts_of(self.step)
        noise = generator(cfg.seed, "sampling", self.step)
        ids = [self.prompts[i] for i in chosen]
        rollout = generate(self.actor.policy, ids, cfg.samples_per_prompt, self.sampling, noise)
        return rollout, answers(self.actor.policy.tokenizer, [self.rows[i] for i in chosen], ids, rollout)

    def _prompts_of(self, step: int) -> list[int]:
        """P prompts from where the step before ended: seeded permutations of the epochs, laid end to end."""
        first, n = step * self.cfg.prompts_per_step, len(self.prompts)
        orders: dict[int, list[int]] = {}
        out = []
        for place in range(first, first + self.cfg.prompts_per_step):
            epoch, offset = divmod(place, n)
            if epoch not in orders:
                orders[epoch] = permutation(n, self.cfg.seed, "prompts", epoch)
            out.append(orders[epoch][offset])
        return out

    def rewards(self, said: Sequence[Answer], rollout: Rollout) -> tuple[Tensor, dict[str, float]]:
        """The reward that is optimised, (B,), after the missing-EOS rule and clipping, and how much those did."""
        reward = self.reward(said)
        if not bool(torch.isfinite(reward).all()):
            worst = int(torch.nonzero(~torch.isfinite(reward))[0])
            raise UserError(f"step {self.step}: the reward of an answer is {reward[worst].item()}: {said[worst].completion!r}")
        shaped = reward - self.cfg.missing_eos_penalty * (~rollout.finished).float()
        if self.cfg.reward_clip is None:
            return shaped, {}
        limit = self.cfg.reward_clip
        return shaped.clamp(-limit, limit), {"reward_clip_fraction": float((shaped.abs() > limit).float().mean())}

    def _account(self, said: Sequence[Answer], rollout: Rollout, reward: Tensor) -> dict[str, Any]:
        row: dict[str, Any] = {"reward": float(reward.mean()), "reward_sd": float(reward.std(correction=0))}
        row |= {name: float(measure(said).mean()) for name, measure in self.monitor.items()}
        lengths = rollout.response_mask.sum(1).float()
        return row | {"length": float(lengths.mean()), "finished": float(rollout.finished.float().mean())}

    @torch.no_grad()
    def look(self, rollout: Rollout, reward: Tensor) -> Step:
        """The trainer's own log-probabilities, the reference's and the critic's, by micro-batch."""
        old = torch.zeros_like(rollout.logp)
        ref, value = torch.zeros_like(old), torch.zeros_like(old)
        for index in self._micro(rollout, torch.arange(len(reward))):
            part = move(take_rollout(rollout, index), device())
            width = part.logp.shape[1]
            out = self.actor.forward(part, self.cfg.temperature)
            old[index, :width] = out.logp.cpu()
            ref[index, :width] = self.actor.reference_logp(part, self.cfg.temperature).cpu()
            if self.algo.NEEDS_VALUE:
                value[index, :width] = out.value.cpu()  # type: ignore[union-attr]
        scored = Scored(rollout, reward, old, ref)
        return Valued(scored, value) if self.algo.NEEDS_VALUE else scored

    def update(self, rollout: Rollout, targets: Any) -> dict[str, float]:
        """All optimiser steps on one step's responses."""
        cfg, meter, norms, skipped = self.cfg, Meter(), [], 0
        lr = self.optimiser.lr()
        for epoch in range(cfg.epochs_per_step):
            order = generator(cfg.seed, "minibatches", self.step, epoch)
            for index in minibatches(rollout.group, cfg.minibatches_per_step, order):
                parts = [
                    Minibatch(part, take(targets, rows, slice(0, part.logp.shape[1])))
                    for rows in self._micro(rollout, index)
                    for part in [take_rollout(rollout, rows)]
                ]
                norm = self._optimise(parts, meter)
                skipped += norm is None
                norms += [] if norm is None else [norm]
        means = meter.means()
        return means | {"grad_norm": sum(norms) / max(1, len(norms)), "lr": lr, "skipped_minibatches": float(skipped)}

    def _optimise(self, parts: Sequence[Minibatch], meter: Meter) -> float | None:
        """One optimiser step; None if its ratios had exploded and it was skipped."""
        critic_only = self.step < self.cfg.critic_warmup
        own = Meter()

        def loss(part: Minibatch) -> tuple[Sums, Metrics]:
            part = move(part, device())
            out = self.actor.forward(part.rollout, self.cfg.temperature, critic_only=critic_only)
            sums, metrics = self.algo.loss(out, part.targets, self.cfg.algo)
            own.add(metrics)
            return sums, metrics

        totals = total_counts(self.algo.counts(part.targets) for part in parts)
        try:
            accumulate(parts, loss, totals, meter)
            ratio = own.means().get("ratio", 1.0)
            if ratio > self.cfg.max_ratio:
                self.optimiser.clear()
                self.folder.note(
                    f"step {self.step}: a minibatch with mean ratio {ratio:.3g} > max_ratio={self.cfg.max_ratio:g} is skipped"
                )
                return None
            return self.optimiser.step()
        except NotFinite as error:
            batch = {"ids": [p.rollout.ids for p in parts], "mask": [p.rollout.mask for p in parts]}
            raise dump_and_stop(error, self.folder.path, self.step, batch) from None

    def _micro(self, rollout: Rollout, index: Tensor) -> list[Tensor]:
        """Rows `index` as micro-batches in which every prompt's group is whole."""
        groups, where = torch.unique(rollout.group[index], return_inverse=True)
        lengths = rollout.mask[index].sum(1)
        members = [index[where == g] for g in range(len(groups))]
        longest = [int(lengths[where == g].max()) for g in range(len(groups))]
        parts = microbatches(longest, self.cfg.tokens_per_microbatch, [len(m) for m in members])
        return [torch.cat([members[g] for g in part]) for part in parts]

    def _doubt(self, row: dict[str, Any], n: int) -> None:
        """A KL is never negative: where its estimate is, by more than chance, the samples were not the policy's."""
        if row["kl"] < min(-3 * row["kl_sd"] / n**0.5, -ROUNDING):
            self.folder.note(
                f"step {self.step}: the mean KL is {row['kl']:.3f} nats, below 0 by more than chance: the sampler and the "
                f"trainer disagree about the policy (sampler_gap {row['sampler_gap']:.3g} nats per token)"
            )

    def _stop(self, row: dict[str, Any]) -> str | None:
        """Why to end here, in words that complete "training stopped because"; over the KL budget, one step is taken back."""
        stop = self.cfg.stop
        if stop.kl is not None and row["kl"] > stop.kl:
            if self.before is not None:
                put_weights(self.parameters, self.before)
            return (
                f"the KL budget was spent ({row['kl']:.2f} nats > stop.kl={stop.kl:g}); the weights of the step before are kept"
            )
        if stop.reward is not None and row["reward"] >= stop.reward:
            return f"the reward target was reached ({row['reward']:.3f} >= stop.reward={stop.reward:g})"
        return None


def _gap(rollout: Rollout, old_logp: Tensor) -> float:
    """Mean difference between the sampler's log-probabilities and the trainer's: rounding, or something wrong."""
    mask = rollout.response_mask
    return float((rollout.logp - old_logp)[mask].abs().mean())


class _Clock:
    """Seconds of each part of a step."""

    def __init__(self, into: dict[str, float]) -> None:
        self._into, self._began = into, time.monotonic()
        self._last = self._began

    def mark(self, name: str) -> None:
        now = time.monotonic()
        self._into[name] = round(now - self._last, 4)
        self._last = now

    def total(self) -> float:
        return time.monotonic() - self._began
