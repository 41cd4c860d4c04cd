"""Compare a policy with the one it started from, on prompts that nothing trained on.

Both answer every prompt once, with the same noise, so that differences are paired. KL is sampled: the summed log-ratio of the
new policy's own responses against the frozen one, at the sampling temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch

from accordant.config import REQUIRED, Config, knob
from accordant.data.rows import read
from accordant.data.template import Template, encode_all, ensure_pad
from accordant.evaluation.policy import Side, compare
from accordant.models.generate import Sampling, generate, stop_ids
from accordant.models.language import LanguageModel
from accordant.models.load import ModelConfig, device
from accordant.ops.batching import microbatches, move, take_rollout
from accordant.ops.kl import sequence_kl
from accordant.rewards import Reward, RewardConfig
from accordant.rewards import load as load_reward
from accordant.seeds import generator, permutation
from accordant.stages.folder import StageFolder
from accordant.stages.text import answers
from accordant.types import Answer, Prompt, Rollout, UserError


class EvaluateConfig(Config):
    """What is compared, on what, judged by whom."""

    before: ModelConfig = knob(REQUIRED, "the frozen model that training started from")
    after: ModelConfig = knob(REQUIRED, "the trained policy")
    prompts: str = knob(REQUIRED, "held-out prompts", min_length=1)
    reward: RewardConfig = knob(REQUIRED, "the reward that was optimised")
    gold: RewardConfig | None = knob(None, "a better judge than the reward, if there is one")
    toxicity: RewardConfig | None = knob(None, "probability of toxicity")
    max_new_tokens: int = knob(48, "longest answer", "tokens", gt=0)
    temperature: float = knob(1.0, "sampling temperature", gt=0)
    tokens_per_microbatch: int = knob(32_768, "padded tokens in memory at once", "tokens", gt=0)
    seed: int = knob(0, "seed of sampling")


@dataclass(frozen=True)
class Heard:
    """What one model said."""

    rollout: Rollout
    answers: list[Answer]


def run(cfg: EvaluateConfig, folder: StageFolder, algo: ModuleType | None, name: str) -> dict[str, Any]:  # noqa: ARG001
    """Write samples.json and evaluation.json."""
    rows = read(cfg.prompts, Prompt)
    rows = [rows[i] for i in permutation(len(rows), cfg.seed, "evaluation")]
    before, after = LanguageModel.load(cfg.before), LanguageModel.load(cfg.after)
    if before.tokenizer.get_vocab() != after.tokenizer.get_vocab():
        raise UserError(
            f"before.path={cfg.before.path} and after.path={cfg.after.path} have different tokenizers: KL compares what both "
            "say about the same tokens, so both must come from one base model"
        )
    ensure_pad(before.tokenizer)
    ensure_pad(after.tokenizer)
    old, new = _listen(cfg, before, rows), _listen(cfg, after, rows)
    kl = _kl(cfg, new.rollout, after, before)
    first, second = _measure(cfg, old, new)
    samples = [_sample(i, old, new, first, second) for i in range(len(rows))]
    policy = compare(first, second, kl)
    folder.write_json("samples.json", samples)
    # The first ten: the prompts are in a seeded order, so nothing is picked.
    folder.write_json("evaluation.json", {"policy": policy, "examples": samples[:10]})
    b, a = policy["before"], policy["after"]
    folder.note(
        f"reward {b['reward_mean']:.3f} -> {a['reward_mean']:.3f} at {policy['kl']:.2f} nats on {a['n']} held-out prompts"
    )
    win = policy["win_rate"]
    return {
        "reward_before": b["reward_mean"], "reward_after": a["reward_mean"], "kl": policy["kl"], "n": a["n"],
        "gold_before": b["gold_mean"], "gold_after": a["gold_mean"], "gold_gain": policy["gold_gain"],
        "toxicity_before": b["toxicity_mean"], "toxicity_after": a["toxicity_mean"], "win_rate": win["mean"],
    }  # fmt: skip


def _listen(cfg: EvaluateConfig, model: LanguageModel, rows: list[Prompt]) -> Heard:
    prompts = encode_all(rows, Template(model.tokenizer, model.context or 1 << 20))[0]
    sampling = Sampling(cfg.max_new_tokens, cfg.temperature, stop_ids(model), cfg.tokens_per_microbatch)
    rollout = generate(model, prompts, 1, sampling, generator(cfg.seed, "evaluation"))
    return Heard(rollout, answers(model.tokenizer, rows, prompts, rollout))


@torch.no_grad()
def _kl(cfg: EvaluateConfig, rollout: Rollout, policy: LanguageModel, frozen: LanguageModel) -> Any:
    """(N,) summed log-ratio of each response, nats."""
    out = np.zeros(len(rollout.ids))
    for part in microbatches(rollout.mask.sum(1).tolist(), cfg.tokens_per_microbatch):
        index = torch.tensor(part)
        some = move(take_rollout(rollout, index), device())
        target = some.mask.clone()
        target[:, : some.prompt_length] = False
        logp, _ = policy.logp(some.ids, some.mask, target, cfg.temperature)
        ref_logp, _ = frozen.logp(some.ids, some.mask, target, cfg.temperature)
        out[part] = sequence_kl(logp, ref_logp, target).cpu().double().numpy()
    return out


def _measure(cfg: EvaluateConfig, *heard: Heard) -> list[Side]:
    """What each model's answers are worth; every judge is loaded once."""

    def by(judge: Reward | None, one: Heard) -> Any:
        return judge(one.answers).double().numpy() if judge is not None else np.zeros(0)

    reward, gold, toxicity = (load_reward(wanted) if wanted else None for wanted in (cfg.reward, cfg.gold, cfg.toxicity))
    return [
        Side(
            reward=by(reward, one), gold=by(gold, one), toxicity=by(toxicity, one),
            length=one.rollout.response_mask.sum(1).double().numpy(), finished=one.rollout.finished.double().numpy(),
        )
        for one in heard
    ]  # fmt: skip


def _sample(i: int, old: Heard, new: Heard, first: Side, second: Side) -> dict[str, Any]:
    prompt = old.answers[i].prompt
    shown = prompt if isinstance(prompt, str) else "\n".join(f"{m.role}: {m.content}" for m in prompt)
    gold = len(first.gold) > 0
    return {
        "prompt": shown, "before": old.answers[i].completion, "after": new.answers[i].completion,
        "reward_before": float(first.reward[i]), "reward_after": float(second.reward[i]),
        "gold_before": float(first.gold[i]) if gold else None, "gold_after": float(second.gold[i]) if gold else None,
    }  # fmt: skip
