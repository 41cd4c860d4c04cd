"""What every algorithm must satisfy, over the registry: a new entry is tested the moment it is registered.

The model is a table of logits by previous token (and of scores and values by token) in float64: small enough to see
through, and blind to padding, so that any dependence on the padding or on the split is the algorithm's own.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest
import torch

from accordant import algos, config
from accordant.ops.batching import take
from accordant.types import (
    ActorCriticOut,
    ActorOut,
    Batch,
    LanguageOut,
    Rollout,
    ScoreOut,
    Step,
    TokenLabel,
    TokenPair,
    TokenRanking,
    TokenRating,
    Tokens,
)
from steps import random_rollout, random_scored, random_valued

VOCABULARY = 20
ITEMS = 8
OFFLINE = {"ROWS", "HEAD", "Config", "check", "collate", "counts", "loss"}
ONLINE = {"NEEDS_VALUE", "MIN_SAMPLES_PER_PROMPT", "Config", "Targets", "init", "prepare", "counts", "loss"}
SPLITS = [
    [[0, 1, 2, 3, 4, 5, 6, 7]],
    [[0, 1], [2, 3], [4, 5], [6, 7]],
    [[7], [3], [1], [0], [2], [6], [5], [4]],
    [[5, 0, 3], [7], [1, 2, 6, 4]],
]
"""Ways to cut eight items (rows, pairs or groups) into micro-batches; the first is the whole step."""


# --- configurations and items -----------------------------------------------------------------------------------------


def configs(module: ModuleType) -> dict[str, config.Config]:
    """The defaults, and the same with everything switched on that is off."""
    on: dict[str, Any] = {}
    for name, info in module.Config.model_fields.items():
        if info.default is False:
            on[name] = True
        elif info.default is None:
            on[name] = 0.5
        elif info.default == "lose":
            on[name] = "exclude"
        elif info.default == 0.0:
            on[name] = 0.25
    return {"defaults": module.Config(), "all on": module.Config(**on)}


CASES = [(name, which) for name in algos.ALGOS for which in ("defaults", "all on")]
SEVERAL = [name for name in algos.OFFLINE if {"Pair", "Ranking"} & set(algos.load(name).ROWS)]


def tokens(rng: random.Random) -> Tokens:
    prompt, answer = rng.randint(1, 4), rng.randint(1, 6)
    ids = tuple(rng.randrange(1, VOCABULARY) for _ in range(prompt + answer))
    return Tokens(ids, (False,) * prompt + (True,) * answer, prompt)


def token_pair(rng: random.Random) -> TokenPair:
    return TokenPair(tokens(rng), tokens(rng), margin=rng.random(), weight=rng.uniform(0.5, 2))


def token_ranking(rng: random.Random) -> TokenRanking:
    """Three answers to one prompt: strictly ranked, with a tie, with rejects."""
    level, rejected = rng.choice([((1, 0, 2), ()), ((0, 1, 0), ()), ((1, 0, 1), (0, 2)), ((1, 0, 2), (2,))])
    return TokenRanking(tuple(tokens(rng) for _ in level), level, tuple(k in rejected for k in range(3)))


def token_rating(rng: random.Random) -> TokenRating:
    return TokenRating(tokens(rng), (rng.gauss(0, 1), rng.choice([rng.gauss(0, 1), math.nan])))


def outputs_of(module: ModuleType) -> int:
    """As many as the ratings of `token_rating`, else one."""
    return 2 if "Rating" in module.ROWS else 1


def token_label(rng: random.Random) -> TokenLabel:
    return TokenLabel(tokens(rng), rng.randrange(2))


MAKERS: dict[str, Callable[[random.Random], Any]] = {
    "Chat": tokens,
    "Document": tokens,
    "Pair": token_pair,
    "Labelled": token_label,
    "Thumb": token_label,
    "Ranking": token_ranking,
    "Rating": token_rating,
}
"""How to make the token form of each row kind. A row kind that is not here yet fails the tests by its name."""


# --- the table model --------------------------------------------------------------------------------------------------


def table() -> torch.Tensor:
    noise = torch.Generator().manual_seed(5)
    return torch.randn(VOCABULARY, VOCABULARY + 1, dtype=torch.float64, generator=noise).requires_grad_()


def next_token(w: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each token given the one before it, and the entropy there: (N, L), 0 in the first column."""
    log_p = torch.log_softmax(w[ids[:, :-1], :VOCABULARY], dim=-1)
    logp = log_p.gather(-1, ids[:, 1:, None]).squeeze(-1)
    blank = torch.zeros(len(ids), 1, dtype=w.dtype)
    return torch.cat([blank, logp], 1), torch.cat([blank, -(log_p.exp() * log_p).sum(-1)], 1)


def view_of_batch(module: ModuleType, w: torch.Tensor, batch: Batch) -> LanguageOut | ScoreOut:
    if module.HEAD == "scalar":
        scores = [(w[batch.ids, VOCABULARY - a] * batch.mask).sum(1) for a in range(outputs_of(module))]
        return ScoreOut(torch.stack(scores, dim=1))
    return LanguageOut(torch.where(batch.loss_mask, next_token(w, batch.ids)[0], 0.0))


def view_of_rollout(module: ModuleType, w: torch.Tensor, rollout: Rollout) -> ActorOut | ActorCriticOut:
    start, mask = rollout.prompt_length, rollout.response_mask
    logp, entropy = (torch.where(mask, x[:, start:], 0.0) for x in next_token(w, rollout.ids))
    if not module.NEEDS_VALUE:
        return ActorOut(logp, entropy)
    return ActorCriticOut(logp, entropy, torch.where(mask, w[rollout.ids[:, start - 1 : -1], VOCABULARY], 0.0))


def step_of(module: ModuleType, width: int = 0) -> Step:
    """Eight groups of unequal lengths, each of as many samples as the algorithm asks for."""
    samples = max(1, module.MIN_SAMPLES_PER_PROMPT)
    rng = random.Random(7)
    lengths = [rng.randint(1, 6) for _ in range(ITEMS * samples)]
    rollout = random_rollout(lengths, samples, vocabulary=VOCABULARY, width=width)
    return random_valued(rollout) if module.NEEDS_VALUE else random_scored(rollout)


def rollout_of(step: Step) -> Rollout:
    return step.scored.rollout if hasattr(step, "scored") else step.rollout


# --- one optimiser step, cut in any way -------------------------------------------------------------------------------

Parts = Sequence[Sequence[int]]
Sums = dict[str, torch.Tensor]


def offline_parts(module: ModuleType, w: torch.Tensor, cfg: config.Config, split: Parts) -> list[tuple[Sums, Any, Any]]:
    rng = random.Random(3)
    items = [MAKERS[kind](rng) for kind in module.ROWS for _ in range(ITEMS)][:ITEMS]
    out = []
    for part in split:
        batch = module.collate([items[i] for i in part], 0)
        out.append((*module.loss(view_of_batch(module, w, batch), batch, cfg), module.counts(batch)))
    return out


def online_parts(
    module: ModuleType, w: torch.Tensor, cfg: config.Config, split: Parts, width: int = 0
) -> list[tuple[Sums, Any, Any]]:
    step = step_of(module, width)
    rollout = rollout_of(step)
    targets, _, _ = module.prepare(step, module.init(cfg), cfg)
    out = []
    for part in split:
        rows = torch.nonzero(torch.isin(rollout.group, torch.tensor(part))).squeeze(1)
        view = view_of_rollout(module, w, take(rollout, rows))
        here = take(targets, rows)
        out.append((*module.loss(view, here, cfg), module.counts(here)))
    return out


def whole_step(name: str, which: str, split: Parts, **options: Any) -> tuple[dict[str, float], dict[str, float], Any]:
    """Loss terms, metrics and gradient of one optimiser step, as the loops add them up."""
    module, w = algos.load(name), table()
    parts_of = offline_parts if algos.loop_of(name) == "offline" else online_parts
    parts = parts_of(module, w, configs(module)[which], split, **options)
    terms = {term: sum(sums[term] for sums, _, _ in parts) for term in parts[0][0]}
    counts = {term: sum(count[term] for _, _, count in parts) for term in parts[0][2]}
    assert set(terms) == set(counts), "every term needs its count"
    metrics = {
        key: sum(found[key][0] for _, found, _ in parts) / max(sum(found[key][1] for _, found, _ in parts), 1e-9)
        for key in parts[0][1]
    }
    means = {term: terms[term] / counts[term] for term in terms}
    sum(means.values()).backward()
    return {term: float(mean.detach()) for term, mean in means.items()}, metrics, w.grad


# --- the properties ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", algos.ALGOS)
def test_the_contract_is_there(name: str) -> None:
    module = algos.load(name)
    assert algos.loop_of(name) in ("online", "offline")
    expected = OFFLINE if algos.loop_of(name) == "offline" else ONLINE
    missing = sorted(attribute for attribute in expected if not hasattr(module, attribute))
    assert not missing, f"{name} lacks {missing}"
    assert (module.__doc__ or "").strip(), f"{name} has no docstring"
    if algos.loop_of(name) == "offline":
        assert module.HEAD in ("language", "scalar")
        assert module.ROWS
    else:
        assert isinstance(module.NEEDS_VALUE, bool)
        assert module.MIN_SAMPLES_PER_PROMPT >= 1


@pytest.mark.parametrize("name", SEVERAL)
def test_a_batch_of_several_answers_to_a_prompt_knows_where_they_begin(name: str) -> None:
    module = algos.load(name)
    items = [MAKERS[module.ROWS[0]](random.Random(seed)) for seed in range(3)]
    batch = module.collate(items, 0)
    assert batch.extra["prompt_length"].tolist() == [item.answers[0].prompt_length for item in items]
    rows = [answer.ids for answers in zip(*(item.answers for item in items), strict=True) for answer in answers]
    assert [tuple(ids[mask].tolist()) for ids, mask in zip(batch.ids, batch.mask, strict=True)] == rows


@pytest.mark.parametrize("name", algos.ALGOS)
def test_the_configuration_is_frozen_and_documented(name: str) -> None:
    cls = algos.load(name).Config
    assert issubclass(cls, config.Config)
    assert cls.model_config["frozen"]
    assert cls.model_config["extra"] == "forbid"
    undocumented = [key for key, info in cls.model_fields.items() if not info.description]
    assert not undocumented, f"{name}: {undocumented} have no meaning"


@pytest.mark.parametrize("name", algos.ONLINE)
def test_the_state_is_made_of_plain_numbers(name: str) -> None:
    module = algos.load(name)
    for cfg in configs(module).values():
        state = module.init(cfg)
        _, after, metrics = module.prepare(step_of(module), state, cfg)
        assert set(after) == set(state)
        for value in (*state.values(), *after.values()):
            assert isinstance(value, float | int)
        for total, count in metrics.values():
            assert isinstance(total, float)
            assert count > 0


@pytest.mark.parametrize(("name", "which"), CASES)
@pytest.mark.parametrize("split", SPLITS[1:], ids=["4x2", "8x1 shuffled", "uneven"])
def test_how_a_step_is_cut_changes_neither_terms_nor_metrics_nor_gradient(name: str, which: str, split: Parts) -> None:
    terms, metrics, gradient = whole_step(name, which, SPLITS[0])
    cut_terms, cut_metrics, cut_gradient = whole_step(name, which, split)
    # Margins, weights and labels are float32 by contract, so their sums agree to float32's rounding.
    assert cut_terms == pytest.approx(terms, rel=1e-6, abs=1e-9)
    assert cut_metrics == pytest.approx(metrics, rel=1e-6, abs=1e-9)
    torch.testing.assert_close(cut_gradient, gradient, rtol=1e-6, atol=1e-9)
    assert gradient.abs().sum() > 0, "a step that teaches nothing would pass"


@pytest.mark.parametrize(("name", "which"), [case for case in CASES if case[0] in algos.OFFLINE])
def test_padding_columns_change_nothing_offline(name: str, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = whole_step(name, which, SPLITS[0])
    module = algos.load(name)
    collate = module.collate

    def wider(items: Sequence[Any], pad_id: int) -> Batch:
        batch = collate(items, pad_id)
        extra = torch.zeros(len(batch.ids), 3, dtype=torch.bool)
        return Batch(
            torch.cat([batch.ids, extra.long()], 1),
            torch.cat([batch.mask, extra], 1),
            torch.cat([batch.loss_mask, extra], 1),
            batch.extra,
        )

    monkeypatch.setattr(module, "collate", wider)
    padded = whole_step(name, which, SPLITS[0])
    assert padded[0] == pytest.approx(plain[0], rel=1e-12)
    assert padded[1] == pytest.approx(plain[1], rel=1e-12)
    torch.testing.assert_close(padded[2], plain[2], rtol=1e-12, atol=0)


@pytest.mark.parametrize(("name", "which"), [case for case in CASES if case[0] in algos.ONLINE])
def test_padding_columns_change_nothing_online(name: str, which: str) -> None:
    plain = whole_step(name, which, SPLITS[0])
    padded = whole_step(name, which, SPLITS[0], width=11)
    assert padded[0] == pytest.approx(plain[0], rel=1e-12)
    assert padded[1] == pytest.approx(plain[1], rel=1e-12)
    torch.testing.assert_close(padded[2], plain[2], rtol=1e-9, atol=1e-12)
