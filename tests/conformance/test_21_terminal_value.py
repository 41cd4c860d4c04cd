"""21. The value after the last token is 0; a response that was cut may end in its last value, by option."""

from __future__ import annotations

import pytest
import torch

from accordant.algos import ppo
from steps import random_rollout, random_valued


@pytest.mark.parametrize("bootstrap", [False, True])
def test_only_cut_responses_bootstrap_and_only_if_asked(bootstrap: bool) -> None:
    lengths = [3, 5, 2, 5]
    step = random_valued(random_rollout(lengths))
    finished = step.scored.rollout.finished
    assert 0 < int(finished.sum()) < len(finished)
    cfg = ppo.Config(gamma=1.0, lam=1.0, kl_coef=0.0, whiten_advantages=False, bootstrap_truncated=bootstrap)
    targets, _, _ = ppo.prepare(step, ppo.init(cfg), cfg)
    for b, length in enumerate(lengths):
        after = float(step.value[b, length - 1]) if bootstrap and not bool(finished[b]) else 0.0
        expected = float(step.scored.reward[b]) + after
        assert targets.returns[b, :length].tolist() == pytest.approx([expected] * length, abs=1e-9)
        assert torch.equal(targets.returns[b, length:], torch.zeros(5 - length, dtype=torch.float64))
