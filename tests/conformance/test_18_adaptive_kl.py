"""18. The adaptive controller is Ziegler's, follows the sampled sequence KL, stays positive and survives a save."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from accordant.algos import ppo
from accordant.ops.kl import AdaptiveKL
from steps import random_rollout, random_valued


@given(st.floats(0.001, 2), st.floats(-10, 40), st.floats(0.5, 20), st.integers(1, 512))
def test_one_update_is_the_formula(beta: float, observed: float, target: float, rows: int) -> None:
    updated = AdaptiveKL(target, horizon=10_000.0).update(beta, observed, rows)
    assert updated == pytest.approx(reference.adaptive_kl(beta, observed, target, 10_000.0, rows), rel=1e-12)


def test_ppo_steers_by_the_sequence_kl_of_the_step() -> None:
    lengths = [2, 5, 1, 4]
    step = random_valued(random_rollout(lengths))
    drift = dataclasses.replace(step.scored, ref_logp=step.scored.old_logp - 0.4)
    observed = sum(0.4 * n for n in lengths) / len(lengths)
    cfg = ppo.Config(kl_coef=0.2, kl_target=observed / 1.1, kl_horizon=100.0)
    _, state, metrics = ppo.prepare(dataclasses.replace(step, scored=drift), ppo.init(cfg), cfg)
    assert state["kl_coef"] == pytest.approx(0.2 * (1 + 0.1 * 4 / 100), rel=1e-9)
    assert metrics["kl_coef"] == (0.2, 1.0), "the price that this step paid, not the next one's"


def test_the_price_goes_on_where_it_was_saved() -> None:
    step = random_valued(random_rollout([2, 5, 1, 4]))
    cfg = ppo.Config(kl_target=0.01, kl_horizon=10.0)
    state = ppo.init(cfg)
    for _ in range(3):
        _, state, _ = ppo.prepare(step, state, cfg)
    restored = json.loads(json.dumps(state))
    assert restored["kl_coef"] != cfg.kl_coef
    first, _, _ = ppo.prepare(step, state, cfg)
    second, _, _ = ppo.prepare(step, restored, cfg)
    assert (first.returns == second.returns).all()


def test_a_fixed_price_stays() -> None:
    cfg = ppo.Config(kl_target=None)
    _, state, _ = ppo.prepare(random_valued(random_rollout([2, 3])), ppo.init(cfg), cfg)
    assert state == ppo.init(cfg)
