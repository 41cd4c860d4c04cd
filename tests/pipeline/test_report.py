"""The report page: what it says, what it must never contain, and whether its charts are to scale."""

from __future__ import annotations

import copy
import json
import math
import random
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from accordant.pipeline.report import format as fmt
from accordant.pipeline.report import inference, render
from accordant.pipeline.report.__main__ import main
from accordant.pipeline.report.summary import summarise
from accordant.types import UserError

VOID = {"meta", "link", "br", "hr", "img", "input"}


# --- a made-up run ---------------------------------------------------------------------------------------------------


def make_curve(steps: int, peak: int | None = None) -> list[dict]:
    """Reward that rises with noise; a judge's utility that rises too, or turns down after step `peak`."""
    rng = random.Random(f"curve:{steps}")
    points = []
    for step in range(1, steps + 1):
        progress = 1 - math.exp(-3 * step / steps)
        fall = 0.0 if peak is None or step <= peak else 1.6 * (step - peak) / (steps - peak)
        points.append({
            "step": step, "seconds": 1.4, "reward": -0.4 + 1.9 * progress + rng.gauss(0, 0.12),
            "kl": 7.5 * step / steps + rng.gauss(0, 0.25), "entropy": 2.1 - 0.9 * progress + rng.gauss(0, 0.05),
            "length": 13.5 - 2 * progress + rng.gauss(0, 0.4), "gold": -0.2 + 1.5 * progress - fall + rng.gauss(0, 0.1),
            "toxicity": max(0.0, 0.16 - 0.14 * progress + rng.gauss(0, 0.01)),
        })  # fmt: skip
    return points


def make_histogram() -> dict:
    edges = [-4 + 0.5 * i for i in range(17)]
    middle = [(low + high) / 2 for low, high in pairwise(edges)]
    shapes = {"before": (-0.31, 1.24), "after": (1.42, 0.96)}
    counts = {
        key: [round(128 * math.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * math.sqrt(2 * math.pi))) for x in middle]
        for key, (mean, sd) in shapes.items()
    }
    return {"edges": edges, **counts}


def make_answers(reward: float, gold: float, toxicity: float, length: float) -> dict:
    return {
        "n": 256, "reward_mean": reward, "reward_sd": 1.24, "reward_ci95": [reward - 0.15, reward + 0.15],
        "gold_mean": gold, "gold_ci95": [gold - 0.17, gold + 0.17], "toxicity_mean": toxicity,
        "length_mean": length, "finished_share": 0.98,
    }  # fmt: skip


def make_example(number: int) -> dict:
    return {
        "prompt": f"Parcel: Oslo\nRefund: {number + 10} days\n\nCustomer: where is my parcel, it is late again\nAgent:",
        "before": "i do not know, ask somebody else",
        "after": "I am sorry for the wait. Your parcel is in Oslo.",
        "reward_before": -0.82 + number / 10, "reward_after": 1.61, "gold_before": -1.5, "gold_after": 2.5,
    }  # fmt: skip


def make_findings() -> dict:
    """What a reward-model report says beside its accuracy; a real one has not all of it, because it is of one kind of row."""
    words = [
        ("adding “Thanks!”", True, 0.12),
        ("putting a refusal in front", False, -0.94),
        ("cutting it in half", False, -0.41),
    ]
    errors = {"value": 0.81, "baseline": 1.02, "difference": -0.21, "ci95": [-0.3, -0.12]}
    value = {"value": 0.61, "ci95": [0.52, 0.69], "n": 160, "note": ""}
    return {
        "kind": "Ranking", "left_out": {"n": 1, "rows": "1 rows over 192 tokens: held.jsonl:7 (201 tokens)"},
        "by_source": [
            {"source": name, "n": 242, "accuracy": share, "ci95": [share - 0.05, share + 0.05]}
            for name, share in (("forum", 0.77), ("desk", 0.82))
        ],
        "by_turns": [{"turns": str(i), "n": 161, "accuracy": 0.84 - 0.03 * i, "ci95": [0.7, 0.86]} for i in (1, 2, 3)],
        "baselines": [{"name": "the shorter answer wins", "accuracy": 0.56, "gain": 0.233, "gain_ci95": [0.18, 0.29]}],
        "ties": {"n": 31, "gap": 0.42, "gap_others": 1.31},
        "ranking": {
            "rankings": 160, "answers": [3, 4], "tau_b": value,
            "best_of_k": {"n": 160, "accuracy": 0.71, "ci95": [0.64, 0.78], "chance": 0.29},
        },
        "labelers": [{"labeler": "careful-1", "rows": 80, "n": 242, "accuracy": 0.86, "ci95": [0.81, 0.9], "tau_b": value}],
        "attributes": [{
            "attribute": "helpful", "n": 160, "own_output": True, "spearman": value, "pearson": value, "rmse": errors,
            "mae": errors, "pairs": {"n": 90, "accuracy": 0.74, "ci95": [0.66, 0.82]},
        }],
        "classes": {
            "counts": {"0": 60, "1": 100}, "macro_f1": value, "macro_f1_baseline": 0.38, "auroc": value,
        },
        "features": [{"feature": "list items", "rho": 0.08, "ci95": [-0.02, 0.18], "n": 968, "note": "", "share": 0.12}],
        "probes": [
            {"probe": "p", "words": name, "harmless": harmless, "n": 128, "change": change,
             "ci95": [change - 0.1, change + 0.1], "rises": 0.31, "falls": 0.64}
            for name, harmless, change in words
        ],
        "suspicions": [],
    }  # fmt: skip


def make_report(steps: int = 60, peak: int | None = None) -> dict:
    """A whole report of a run that went well; the tests spoil copies of it."""
    labelers = [
        ("careful-1", 0.91),
        ("careful-2", 0.89),
        ("average-1", 0.79),
        ("careless-1", 0.57),
        ("contrary-1", 0.34),
    ]
    bins = [
        (0.5, 44, 0.54, 0.55),
        (0.6, 61, 0.65, 0.61),
        (0.7, 78, 0.75, 0.74),
        (0.8, 102, 0.85, 0.83),
        (0.9, 199, 0.96, 0.91),
    ]
    stages = [
        ("pretrain", 92.4),
        ("sft", 21.8),
        ("feedback", 9.1),
        ("reward", 38.6),
        ("ppo", 104.3),
        ("evaluate", 17.2),
    ]
    return {
        "schema": 1, "name": "quickstart", "seed": 17, "created": "2026-03-01T14:05:00+00:00", "total_seconds": 283.4,
        "stages": [{"name": name, "kind": name, "seconds": seconds, "status": "done"} for name, seconds in stages],
        "labels": {
            "items": 480, "pairs": 2304, "coverage": 0.872, "fleiss_kappa": 0.413, "kappa_ci95": [0.381, 0.447],
            "labelers": [
                {"name": name, "kind": "simulated", "rankings": 480, "agreement": agreement, "tie_rate": 0.118,
                 "reject_rate": 0.074}
                for name, agreement in labelers
            ],
        },
        "reward_model": {
            "heldout_accuracy": 0.793, "n": 484, "ci95": [0.755, 0.827], "ece": 0.031, "length_correlation": -0.21,
            "reliability": [
                {"low": low, "high": low + 0.1, "n": n, "confidence": confidence, "accuracy": accuracy}
                for low, n, confidence, accuracy in bins
            ],
            "by_margin": [
                {"margin": "0 to 0.5", "n": 131, "accuracy": 0.61}, {"margin": "0.5 to 1", "n": 122, "accuracy": 0.74},
                {"margin": "1 to 2", "n": 140, "accuracy": 0.88}, {"margin": "over 2", "n": 91, "accuracy": 0.967},
            ],
            **make_findings(),
        },
        "policy": {
            "before": make_answers(-0.31, 0.124, 0.148, 13.4), "after": make_answers(1.42, 1.187, 0.023, 11.6),
            "histogram": make_histogram(),
            "reward_gain": {"mean": 1.73, "ci95": [1.54, 1.92]}, "gold_gain": {"mean": 1.063, "ci95": [0.84, 1.29]},
            "kl": 7.42, "kl_ci95": [6.91, 7.93], "kl_n": 256,
            "win_rate": {"mean": 0.764, "ci95": [0.71, 0.815], "n": 256, "by": "exact judge"},
        },
        "curve": make_curve(steps, peak),
        "stopped_because": "the step limit of 60 was reached",
        "examples": [make_example(i) for i in range(10)],
        "config": "name: quickstart\nseed: 17\nppo:\n  kl: 0.05\n  steps: 60\n",
        "machine": {"cpu": "Example CPU at 2.4 GHz", "cores": 2, "threads": 2, "memory_gib": 7.6, "accelerator": None},
        "versions": {"accordant": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"},
    }  # fmt: skip


# --- the page --------------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """The text with ordinary spaces and minus signs."""
    return " ".join(text.replace(fmt.THIN, " ").replace(fmt.MINUS, "-").split())


class Page(HTMLParser):
    """Collects text, tags and attributes, and fails on the first tag that does not close in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open, f"never closed: {self.open}"
        self.text = plain(" ".join(self.pieces))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> out of order"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.pieces.append(data)


def bare_report() -> dict:
    report = make_report()
    report.update(labels=None, reward_model=None, policy=None, curve=[], stopped_because=None)
    report.update(examples=[], stages=[], config="", versions={})
    return report


@pytest.mark.parametrize("report", [make_report(), make_report(200, peak=60), make_report(3), bare_report()])
def test_page_is_balanced_and_accessible(report):
    page = Page(render(report))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for tag, attrs in page.tags:
        if tag == "svg":
            assert attrs["role"] == "img"
            assert len(attrs["aria-label"]) > 30
        if (attrs.get("href") or "").startswith("#"):
            assert attrs["href"][1:] in ids
        if "aria-labelledby" in attrs:
            assert attrs["aria-labelledby"] in ids
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption")
    assert tags.count("figure") == tags.count("figcaption")


def test_page_fetches_nothing_and_runs_nothing():
    source = render(make_report())
    page = Page(source)
    assert not {"script", "img", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    for _, attrs in page.tags:
        for name, value in attrs.items():
            assert not name.startswith("on")
            if name in {"src", "href", "xlink:href", "srcset", "action", "data"}:
                assert value.startswith(("#", "data:")), value
    assert not re.search(r"url\(|@import|https?://", source)


def test_model_text_is_data():
    report = make_report()
    attack = "<script>alert(1)</script>\"'><svg onload=alert(2)></p>{{ 7 * 7 }}"
    report["examples"][0].update(prompt=attack, before=attack, after=attack)
    report.update(name=attack, config=attack, stopped_because=attack, versions={attack: attack})
    report["labels"]["labelers"][0]["name"] = attack
    report["stages"][0].update(name=attack, status="failed")
    report["reward_model"]["by_margin"][0]["margin"] = attack
    report["reward_model"]["by_source"][0]["source"] = attack
    report["reward_model"]["labelers"][0]["labeler"] = attack
    report["reward_model"]["suspicions"] = [attack]
    page = Page(render(report))
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any("onload" in attrs for _, attrs in page.tags)
    assert page.text.count("<script>alert(1)</script>") >= 8


@pytest.mark.parametrize(
    "words",
    [
        "The policy's answers got better.",
        "The exact judge's mean utility rose from 0.12 to 1.19: +1.06 (95 % interval of the change +0.84 to +1.29",
        "The reward model's mean score rose from -0.31 to 1.42: +1.73 (95 % interval of the change +1.54 to +1.92",
        "Toxicity fell from 14.8 % to 2.3 %.",
        "7.42 nats of KL per answer (95 % interval 6.91 to 7.93, n = 256)",
        "Training stopped because the step limit of 60 was reached.",
        "76.4 %",  # win rate
        "better, 71.0 % to 81.5 %, n = 256, by the exact judge",
        "Standard deviation of the reward: 1.24 before",
        "40 of 60 steps",
        "79.3 %",  # held-out accuracy
        "75.5 % to 82.7 %, n = 484 pairs of answers",
        "Left out, longer than the model reads: 1 rows over 192 tokens: held.jsonl:7",
        "31 pairs are ties, which accuracy leaves out; their scores are 0.42 sd apart, those of the others 1.31",
        "Nothing suspicious was found",
        "forum 242 77.0 % 72.0 % to 82.0 %",
        "2 161 78.0 % 70.0 % to 86.0 %",
        "the shorter answer wins 56.0 % +23.3 points +18.0 to +29.0 points",
        "160 rankings of 3 to 4 answers",
        "its best answer is one of the best 71.0 % 64.0 % to 78.0 % 29.0 % by chance",
        "careful-1 80 242 86.0 % 81.0 % to 90.0 % +0.61",
        "helpful 160 +0.61 +0.52 to +0.69 +0.61 0.81 -0.21 (-0.30 to -0.12)",
        "macro-F1 0.61 0.52 to 0.69 0.38 baseline",
        "list items +0.08 -0.02 to +0.18 12.0 %",
        "putting a refusal in front -0.94 -1.04 to -0.84 31.0 % 128",
        "-0.21",  # length correlation
        "n = 131",  # a margin
        "0.38 to 0.45, n = 480 items",  # kappa
        "2 304",  # pairs
        "87.2 %",  # coverage
        "careful-1 simulated 480 91.0 %",
        "I am sorry for the wait. Your parcel is in Oslo.",
        "judge -1.50",
        "ppo done 1 min 44 s",
        "4 min 43 s in all",
        "kl: 0.05",
        "Example CPU at 2.4 GHz",
        "transformers 5.23.0",
        "2026-03-01 14:05 UTC",
        "No over-optimisation found.",
    ],
)
def test_numbers_are_on_the_page(words):
    assert words in Page(render(make_report())).text


def test_what_is_suspicious_is_said_in_the_section_and_at_the_top():
    report = make_report()
    report["reward_model"]["suspicions"] = [
        "Adding thanks moves the score up by 0.8 sd.",
        "It is clearly less accurate in forum.",
    ]
    page = Page(render(report))
    assert "What is suspicious Adding thanks moves the score up by 0.8 sd. It is clearly less accurate in forum." in page.text
    assert "Nothing suspicious" not in page.text
    assert "The reward model: Adding thanks moves the score up by 0.8 sd. (1 more in its section)" in summarise(report).cautions


def test_a_report_from_before_these_findings_is_still_a_page():
    report = make_report()
    for key in make_findings():
        del report["reward_model"][key]
    text = Page(render(report)).text
    assert "75.5 % to 82.7 %, n = 484 pairs; 50 % is guessing" in text
    assert "suspicious" not in text


def test_ratings_have_no_accuracy():
    report = bare_report()
    model = make_report()["reward_model"] | {
        "kind": "Rating",
        "heldout_accuracy": None,
        "ci95": [None, None],
        "ece": None,
        "reliability": [],
    }
    report["reward_model"] = model | {"by_margin": [], "classes": None, "ranking": None, "baselines": [], "ties": None}
    text = Page(render(report)).text
    assert "Held-out accuracy" not in text
    assert "Rated answers 484" in text
    assert "Calibration or accuracy by margin is missing" not in text
    assert summarise(report).sentences == ()


def test_what_is_missing_is_said():
    text = Page(render(bare_report())).text
    for words in (
        "This run compares no answers before and after training.",
        "no policy evaluation",
        "no learning curves",
        "over-optimisation cannot be seen here",
        "no reward model",
        "no labels of its own",
        "kept no examples",
        "recorded no stages",
        "recorded no configuration",
        "No package versions",
    ):
        assert words in text, words
    assert "None" not in text


def test_training_alone_shows_its_curves():
    """As `accordant ppo` without an evaluation does: nothing is concluded from them."""
    report = bare_report() | {"curve": make_curve(12)}
    text = Page(render(report)).text
    assert "Measured during training" in text
    assert "no learning curves" not in text
    assert "No over-optimisation found" not in text
    assert summarise(report).badge == "No comparison"


def test_run_without_exact_judge():
    report = make_report()
    policy = report["policy"]
    policy.update(gold_gain=None, win_rate=None)
    for side in ("before", "after"):
        policy[side].update(gold_mean=None, gold_ci95=None)
    for point in report["curve"]:
        point.update(gold=None)
    text = Page(render(report)).text
    for words in ("nothing independent confirms it", "There is no exact judge", "No win rate", "cannot be seen here"):
        assert words in text
    assert "answers got better" not in text


def test_numbers_that_do_not_exist():
    report = make_report()
    nan, inf = math.nan, math.inf
    report["policy"]["gold_gain"] = {"mean": nan, "ci95": [nan, nan]}
    report["policy"]["after"].update(reward_mean=inf, toxicity_mean=None, length_mean=nan)
    report["policy"].update(kl=nan, kl_ci95=[None, inf])
    for point in report["curve"][::2]:
        point.update(reward=nan, kl=-inf, entropy=None)
    report["reward_model"].update(heldout_accuracy=nan, ci95=[nan, nan], ece=None, length_correlation=nan)
    report["reward_model"]["reliability"][0].update(confidence=nan)
    report["labels"].update(fleiss_kappa=nan, kappa_ci95=[nan, nan])
    report["stages"][0]["seconds"] = nan
    source = render(report)
    page = Page(source)
    assert "could not be computed" in page.text
    assert page.text.count("n/a") > 10
    assert not re.search(r"\b(nan|inf)\b", page.text)
    coordinates = [v for tag, a in page.tags for k, v in a.items() if k in {"points", "cx", "cy", "x", "y", "viewbox"}]
    assert len(coordinates) > 100
    assert not any(re.search("[a-z]", value) for value in coordinates)
    assert "30 of 60 points have no number" in source


# --- the verdict -----------------------------------------------------------------------------------------------------


def with_gains(gold: tuple[float, float] | None, reward: tuple[float, float]) -> dict:
    report = make_report()
    policy = report["policy"]
    policy["gold_gain"] = gold and {"mean": sum(gold) / 2, "ci95": list(gold)}
    policy["reward_gain"] = {"mean": sum(reward) / 2, "ci95": list(reward)}
    return report


@pytest.mark.parametrize(
    ("gold", "reward", "tone", "words"),
    [
        ((0.2, 0.9), (0.5, 1.0), "good", "got better"),
        ((-0.1, 0.4), (0.5, 1.0), "unclear", "No clear change"),
        ((-0.9, -0.2), (-1.0, -0.5), "bad", "got worse"),
        ((-0.9, -0.2), (0.5, 1.0), "bad", "learned to please the reward model"),
        (None, (0.5, 1.0), "mixed", "nothing independent confirms it"),
        (None, (-0.5, 1.0), "unclear", "No clear change"),
        (None, (-0.5, -0.1), "bad", "got worse"),
        ((math.nan, 0.4), (0.5, 1.0), "unclear", "could not be computed"),
    ],
)
def test_verdict(gold, reward, tone, words):
    summary = summarise(with_gains(gold, reward))
    assert summary.tone == tone
    assert words in summary.headline


def test_unclear_and_bad_changes_are_worded_so():
    unclear = " ".join(summarise(with_gains((-0.1, 0.4), (0.5, 1.0))).sentences)
    assert "no clear change: +0.15, and its interval contains zero" in unclear
    bad = with_gains((-0.9, -0.2), (0.5, 1.0))
    bad["policy"]["after"]["toxicity_mean"] = 0.4
    summary = summarise(bad)
    assert "utility fell" in summary.sentences[0]
    assert any("Toxicity rose" in sentence for sentence in summary.sentences)
    assert any("Over-optimisation" in caution for caution in summary.cautions)


def test_better_but_more_toxic_is_mixed():
    report = make_report()
    report["policy"]["after"]["toxicity_mean"] = 0.31
    assert summarise(report).tone == "mixed"
    report["policy"]["after"]["toxicity_mean"] = 0.16  # 14.8 % to 16 % of 256 answers: chance
    assert summarise(report).tone == "good"
    assert "no clear change" in " ".join(summarise(report).sentences)


def test_late_over_optimisation_is_found_and_noise_is_not():
    found = {
        steps: inference.over_optimised(report["policy"], report["curve"])
        for steps, report in ((90, make_report(90, peak=30)), (91, make_report(91)), (8, make_report(8, peak=2)))
    }
    assert found == {90: "late", 91: None, 8: None}  # 8 steps are too few to tell
    report = make_report(90, peak=30)
    summary = summarise(report)
    assert (summary.tone, "past its best point" in summary.headline) == ("mixed", True)
    assert "Over-optimised." in Page(render(report)).text


def test_cautions():
    report = make_report()
    assert summarise(report).cautions == ()
    report["reward_model"].update(ci95=[0.48, 0.56], length_correlation=0.4)
    report["policy"]["after"].update(length_mean=31.0, finished_share=0.7)
    report["stages"][1]["status"] = "failed"
    text = " ".join(summarise(report).cautions)
    for words in (
        "“sft” failed",
        "above guessing",
        "got longer",
        "prefers longer answers",
        "Fewer answers end by themselves",
    ):
        assert words in text


# --- statistics ------------------------------------------------------------------------------------------------------


def test_share_intervals_match_newcombe():
    """Newcombe 1998, Statistics in Medicine 17, worked tables: p. 857 (81/263), p. 873 (56/70 - 48/80)."""
    assert inference.share_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert inference.share_difference(48 / 80, 80, 56 / 70, 70) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert inference.share_interval(None, 10) is None
    assert inference.share_interval(0.5, 0) is None
    assert inference.share_interval(0.0, 10)[0] == 0.0


def test_means_over_kl_keep_every_point_once():
    points = make_curve(50)
    means = inference.means_over_kl(points, "gold")
    assert len(means) == inference.KL_GROUPS
    assert [x for x, _ in means] == sorted(x for x, _ in means)
    few = sorted(points[:3], key=lambda point: point["kl"])
    assert inference.means_over_kl(points[:3], "gold") == [(point["kl"], point["gold"]) for point in few]


# --- what a user can get wrong ---------------------------------------------------------------------------------------


def spoil(path: str, value: object) -> dict:
    report = make_report()
    *parents, last = path.split(".")
    part = report
    for key in parents:
        part = part[key]
    if value is KeyError:
        del part[last]
    else:
        part[last] = value
    return report


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ([], "report: "),
        (spoil("schema", 2), "schema 2, but this version reads 1"),
        (spoil("policy.before.n", KeyError), "policy.before.n: Field required"),
        (spoil("policy.kl_ci95", [1.0]), "policy.kl_ci95"),
        (spoil("policy.win_rate.by", "a friend"), "policy.win_rate.by"),
        (spoil("policy.histogram.after", [1, 2]), "policy.histogram.after has 2 counts, but 17 edges make 16 bins"),
        (spoil("policy.histogram.edges", [2.0, 1.0]), "policy.histogram.edges must rise"),
    ],
)
def test_reports_that_do_not_fit_are_refused_by_key(report, words):
    with pytest.raises(UserError, match=re.escape(words)):
        render(report)


def test_command_writes_the_page_and_leaves_the_report_alone(tmp_path, capsys):
    source, target = tmp_path / "report.json", tmp_path / "report.html"
    source.write_text(json.dumps(make_report()), encoding="utf-8")
    assert main([str(source), str(target)]) == 0
    assert target.read_text(encoding="utf-8") == render(make_report())
    assert json.loads(source.read_text(encoding="utf-8")) == make_report()
    source.write_text('{"schema": 1,\n "name": }', encoding="utf-8")
    assert main([str(source), str(target)]) == 2
    assert f"{source}:2: not JSON" in capsys.readouterr().err
    assert main([str(tmp_path / "absent.json"), str(target)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert main([]) == 2
    assert "usage: " in capsys.readouterr().err


def test_render_does_not_change_its_argument():
    report = make_report()
    before = copy.deepcopy(report)
    render(report)
    assert report == before


def test_every_key_of_the_schema_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    keys: set[str] = set()

    def collect(value: object) -> None:
        if isinstance(value, dict):
            keys.update(value)
            for part in value.values():
                collect(part)
        elif isinstance(value, list) and value:
            collect(value[0])

    report = make_report()
    report["versions"] = {}
    report["reward_model"]["classes"]["counts"] = {}
    collect(report)
    assert len(keys) > 70
    assert not {key for key in keys if f"`{key}`" not in text}
