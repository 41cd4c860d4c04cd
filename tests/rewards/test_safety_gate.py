"""Llama 2's rule, written from the paper: sigmoids, the threshold on them, then the logit of what was chosen."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import accordant.rewards.safety_gate as gate
from accordant.config import build
from accordant.rewards import LengthReward, Reward, RuleReward, SafetyGateReward, Whitening, load
from accordant.types import Answer, Message, UserError
from tasks import write_rows

RULES = """
def safe(prompt, completion, finished):
    return float(completion.split()[0])

def helpful(prompt, completion, finished):
    return float(completion.split()[1])
"""


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two logits are written in the answer itself."""
    path = tmp_path_factory.mktemp("rules") / "rules.py"
    path.write_text(RULES)
    return path


def gated(rules: Path, **values: object) -> Reward:
    return load(build(SafetyGateReward, {
        "safety": {"kind": "rule", "function": f"{rules}:safe"},
        "helpfulness": {"kind": "rule", "function": f"{rules}:helpful"}, **values,
    }))  # fmt: skip


def answer(safety: float, helpfulness: float, prompt: str = "how?") -> Answer:
    return Answer(prompt, f"{safety} {helpfulness}", True)


def by_the_paper(safety: float, helpfulness: float, risky: bool, threshold: float = 0.15) -> float:
    """Section 3.2.4 with sigmoids and their logit, in float64."""
    r_s, r_h = (1 / (1 + math.exp(-x)) for x in (safety, helpfulness))
    chosen = r_s if risky or r_s < threshold else r_h
    return math.log(chosen / (1 - chosen))


logits = st.floats(-8, 8).map(lambda x: round(x, 2))


@given(logits, logits, st.booleans(), st.sampled_from([0.15, 0.5, 0.9]))
def test_the_gate_is_the_papers(rules: Path, safety: float, helpfulness: float, risky: bool, threshold: float) -> None:
    reward = gated(rules, threshold=threshold, risky_patterns=["bomb"])
    got = reward([answer(safety, helpfulness, "a bomb?" if risky else "a cake?")])
    assert got.tolist() == pytest.approx([by_the_paper(safety, helpfulness, risky, threshold)], abs=1e-4)


def test_the_published_threshold_by_hand(rules: Path) -> None:
    """sigmoid(-1.7) = 0.1545 and sigmoid(-1.8) = 0.1419: one on each side of 0.15."""
    reward = gated(rules)
    assert reward([answer(-1.7, 3), answer(-1.8, 3)]).tolist() == pytest.approx([3, -1.8])
    assert gated(rules, measure="gated")([answer(-1.7, 3), answer(-1.8, 3)]).tolist() == [0, 1]


def test_far_logits_are_told_apart(rules: Path) -> None:
    """A sigmoid in float32 rounds both to 1, and its logit would be infinite."""
    assert gated(rules)([answer(20, 30), answer(20, 40)]).tolist() == [30, 40]


def test_risky_prompts_come_from_a_file_of_rows(rules: Path, tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "poison?"}]
    path = write_rows(tmp_path / "risky.jsonl", [{"prompt": "a bomb?"}, {"prompt": chat}])
    reward = gated(rules, risky_prompts=str(path))
    prompts = ["a bomb?", "a bomb? No.", (Message("user", "poison?"),), (Message("user", "poison"),)]
    assert reward([Answer(p, "2.0 3.0", True) for p in prompts]).tolist() == [2, 3, 2, 3]


def test_patterns_are_searched_in_every_message(rules: Path) -> None:
    reward = gated(rules, risky_patterns=["^poison", "(?i)BOMB"])
    chats = [
        (Message("user", "hello"), Message("assistant", "hi"), Message("user", "poison me")),
        (Message("system", "no bombs"), Message("user", "hello")),
        (Message("user", "no poison"),),
    ]
    assert reward([Answer(p, "2.0 3.0", True) for p in chats]).tolist() == [2, 2, 3]


def test_the_result_is_standardised_and_not_its_parts(rules: Path, tmp_path: Path) -> None:
    """Gated logits -2, 1 and 4: mean 1, standard deviation 3."""
    rows = [{"prompt": "q", "completion": text} for text in ("-2 9", "5 1", "0 4")]
    reward = gated(rules, whiten={"reference": str(write_rows(tmp_path / "rows.jsonl", rows))})
    assert reward([answer(-2, 9), answer(0, 7), answer(-5, 7)]).tolist() == pytest.approx([-1, 2, -2])
    assert gated(rules, whiten={"mean": 1, "sd": 3})([answer(0, 7)]).tolist() == pytest.approx([2])


def test_whether_it_is_gated_is_never_standardised(rules: Path) -> None:
    assert gated(rules, measure="gated", whiten={"mean": 1, "sd": 3})([answer(-9, 0), answer(0, 0)]).tolist() == [1, 0]


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match=r"'risky_patterns' = .*'\(' is no regular expression"):
        build(SafetyGateReward, {"safety": {"kind": "world"}, "helpfulness": {"kind": "world"}, "risky_patterns": ["("]})


def test_both_rewards_are_read_once_a_batch(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are what this costs: the safety reward serves the gate and the result."""
    calls: list[str] = []

    def counting(cfg: RuleReward) -> Reward:
        inner = load(cfg)
        return lambda answers: [calls.append(cfg.function), inner(answers)][1]  # type: ignore[return-value]

    monkeypatch.setattr(gate, "load", counting)
    gated(rules)([answer(0, 1), answer(-9, 1)])
    assert sorted(call.rpartition(":")[2] for call in calls) == ["helpful", "safe"]


def test_constants_of_their_own_have_to_be_whole() -> None:
    with pytest.raises(UserError, match="give either reference or both mean and sd"):
        build(
            SafetyGateReward, {"safety": LengthReward(at_most=1), "helpfulness": LengthReward(at_most=1), "whiten": {"sd": 1}}
        )
    with pytest.raises(UserError, match=r"'sd' = 0"):
        build(Whitening, {"mean": 0, "sd": 0})
