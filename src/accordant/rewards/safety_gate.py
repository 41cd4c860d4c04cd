"""Llama 2's rule: safety first where it is at stake, else helpfulness (Touvron et al. 2023, arXiv 2307.09288, section 3.2.4).

::

    R_c(g | p) = R_s(g | p)   if p is tagged as risky, or R_s(g | p) < 0.15
                 R_h(g | p)   else
    R~(g | p)  = whiten(logit(R_c(g | p)))

R_s and R_h are there sigmoids of reward models. Here both rewards are those models' logits, so that no sigmoid has to be
undone: R_s < t is s < log(t / (1 - t)), which holds where a sigmoid would have rounded to 0 or 1.

Deviations: the paper does not say what `whiten` takes its mean and deviation from; here they are constants of reference answers
(see `whiten`). A prompt is risky because a file or a regular expression says so; the paper's were tagged by people.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor

from accordant.data.rows import read
from accordant.rewards import Reward, SafetyGateReward, load
from accordant.rewards.whiten import whitened
from accordant.types import Answer, Prompt, PromptText


def load_safety_gate(cfg: SafetyGateReward) -> Reward:
    """The gated reward, (B,); or with `measure: gated` 1.0 where safety is the reward and 0.0 elsewhere, never standardised.

    Raises:
        UserError: a reward or the file of risky prompts cannot be loaded.
    """
    safety, helpfulness = load(cfg.safety), load(cfg.helpfulness)
    tagged = {row.prompt for row in read(cfg.risky_prompts, Prompt)} if cfg.risky_prompts else set()
    patterns = [re.compile(pattern) for pattern in cfg.risky_patterns]
    limit = math.log(cfg.threshold / (1 - cfg.threshold))

    def gate(answers: Sequence[Answer], safe: Tensor) -> Tensor:
        risky = torch.tensor([a.prompt in tagged or _found(patterns, a.prompt) for a in answers], dtype=torch.bool)
        return risky | (safe < limit)

    def gated(answers: Sequence[Answer]) -> Tensor:
        return gate(answers, safety(answers)).float()

    def reward(answers: Sequence[Answer]) -> Tensor:
        safe = safety(answers)
        return torch.where(gate(answers, safe), safe, helpfulness(answers))

    return gated if cfg.measure == "gated" else whitened(reward, cfg.whiten, "the safety gate")


def _found(patterns: Sequence[re.Pattern[str]], prompt: PromptText) -> bool:
    """Whether a pattern is found in the prompt, or in one of its messages."""
    texts = [prompt] if isinstance(prompt, str) else [message.content for message in prompt]
    return any(pattern.search(text) for pattern in patterns for text in texts)
