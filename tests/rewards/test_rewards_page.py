"""docs/rewards.md is true: its settings build, its function is a rule, its table names every kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from accordant.config import Config, build, knob
from accordant.rewards import LOADERS, RewardConfig, load
from accordant.types import Answer

PAGE = (Path(__file__).parents[2] / "docs/rewards.md").read_text(encoding="utf-8")


class Holder(Config):
    """Where rewards stand in a stage."""

    reward: RewardConfig | None = knob(None, "the reward")
    monitor: dict[str, RewardConfig] = knob({}, "others")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_example_is_a_configuration() -> None:
    built = [build(Holder, yaml.safe_load(block)) for block in blocks("yml")]
    assert {one.reward.kind for one in built if one.reward} == {"combine", "safety_gate", "rule"}


def test_the_functions_of_the_page_are_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source,) = blocks("python")
    (tmp_path / "my_rules.py").write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    examples: list[dict[str, Any]] = [yaml.safe_load(block) for block in blocks("yml")]
    (rule,) = (example for example in examples if example.get("reward", {}).get("kind") == "rule")
    reward = build(Holder, rule).reward
    assert reward is not None
    assert load(reward)([Answer("q", "I am SORRY", True), Answer("q", "Done.", True)]).tolist() == [-1, 0]


def test_the_table_names_every_kind() -> None:
    head = PAGE[: PAGE.index("lists the settings of each")]
    assert re.findall(r"^\| `(\w+)` \|", head, re.MULTILINE) == list(LOADERS)
