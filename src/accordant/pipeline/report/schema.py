"""What `report.json` holds. `docs/metrics.md` explains each key in words; a test keeps the two in step.

Parts that a run did not produce are None. A number that could not be computed (no data, an overflow) is None or NaN;
the page shows it as "n/a". Keys beyond these are allowed and not shown.
"""

from __future__ import annotations

from itertools import pairwise
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,  # pydantic refuses typing.TypedDict before Python 3.12
    TypeAlias,
)

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from accordant.types import UserError

SCHEMA = 1

Number: TypeAlias = float | None
Count: TypeAlias = Annotated[int, Field(ge=0)]
Interval: TypeAlias = Annotated[list[Number], Field(min_length=2, max_length=2)]
"""Lower and upper end of a 95 % confidence interval."""


class Stage(TypedDict):
    name: str
    kind: str
    seconds: Number
    status: str


class LabelerReport(TypedDict):
    name: str
    kind: str
    rankings: Count
    agreement: Number
    tie_rate: Number
    reject_rate: Number


class Labels(TypedDict):
    items: Count
    labelers: list[LabelerReport]
    fleiss_kappa: Number
    kappa_ci95: Interval
    pairs: Count
    coverage: Number


class ReliabilityBin(TypedDict):
    low: float
    high: float
    n: Count
    confidence: Number
    accuracy: Number


class MarginBin(TypedDict):
    margin: str
    n: Count
    accuracy: Number


class Share(TypedDict):
    """Accuracy on a part of the rows; `source` or `turns` or `labeler` says which."""

    n: Count
    accuracy: Number
    ci95: Interval
    source: NotRequired[str]
    turns: NotRequired[str]


class Beside(TypedDict):
    """A trivial rule, and by how much the model is better."""

    name: str
    accuracy: Number
    gain: Number
    gain_ci95: Interval


class Ties(TypedDict):
    n: Count
    gap: Number
    gap_others: Number


class Value(TypedDict):
    """A statistic that may be undefined; `note` says why, or what was left out."""

    value: Number
    ci95: Interval
    note: str
    n: NotRequired[Count]


class BestOfK(TypedDict):
    n: Count
    accuracy: Number
    ci95: Interval
    chance: Number


class Rankings(TypedDict):
    rankings: Count
    answers: list[int]
    tau_b: Value
    best_of_k: BestOfK


class LabelerAgreement(TypedDict):
    labeler: str
    rows: Count
    n: Count
    accuracy: Number
    ci95: Interval
    tau_b: NotRequired[Value]


class RatingError(TypedDict):
    value: Number
    baseline: Number
    difference: Number
    ci95: Interval


class Attribute(TypedDict):
    attribute: str
    n: Count
    own_output: bool
    spearman: Value
    pearson: Value
    rmse: RatingError | None
    mae: RatingError | None
    pairs: Share | None


class Classes(TypedDict):
    counts: dict[str, int]
    macro_f1: Value
    macro_f1_baseline: Number
    auroc: Value | None


class Feature(TypedDict):
    feature: str
    rho: Number
    ci95: Interval
    n: Count
    note: str
    share: Number


class Probe(TypedDict):
    probe: str
    words: str
    harmless: bool
    n: Count
    change: Number
    ci95: Interval
    rises: Number
    falls: Number


class LeftOut(TypedDict):
    n: Count
    rows: str


class RewardModel(TypedDict):
    """What `evaluate_reward` writes. Numbers that a kind of row does not have are None, lists empty."""

    heldout_accuracy: Number
    n: Count
    ci95: Interval
    ece: Number
    length_correlation: Number
    reliability: list[ReliabilityBin]
    by_margin: list[MarginBin]
    kind: NotRequired[Literal["Pair", "Ranking", "Rating", "Labelled", "Thumb"]]
    left_out: NotRequired[LeftOut]
    by_source: NotRequired[list[Share]]
    by_turns: NotRequired[list[Share]]
    baselines: NotRequired[list[Beside]]
    ties: NotRequired[Ties | None]
    ranking: NotRequired[Rankings | None]
    labelers: NotRequired[list[LabelerAgreement]]
    attributes: NotRequired[list[Attribute]]
    classes: NotRequired[Classes | None]
    features: NotRequired[list[Feature]]
    probes: NotRequired[list[Probe]]
    suspicions: NotRequired[list[str]]


class Answers(TypedDict):
    """One policy's answers to the held-out prompts."""

    n: Count
    reward_mean: Number
    reward_sd: Number
    reward_ci95: Interval
    gold_mean: Number
    gold_ci95: Interval | None
    toxicity_mean: Number
    length_mean: Number
    finished_share: Number


class Histogram(TypedDict):
    edges: list[float]
    before: list[Count]
    after: list[Count]


class Estimate(TypedDict):
    mean: Number
    ci95: Interval


class WinRate(TypedDict):
    mean: Number
    ci95: Interval
    n: Count
    by: Literal["exact judge", "reward model"]


class CurvePoint(TypedDict):
    """One step of online training; `gold` and `toxicity` are None where that step was not judged."""

    step: int
    seconds: Number
    reward: Number
    kl: Number
    entropy: Number
    length: Number
    gold: Number
    toxicity: Number


class Policy(TypedDict):
    before: Answers
    after: Answers
    histogram: Histogram
    reward_gain: Estimate
    gold_gain: Estimate | None
    kl: Number
    kl_ci95: Interval
    kl_n: Count
    win_rate: WinRate | None


class Example(TypedDict):
    prompt: str
    before: str
    after: str
    reward_before: Number
    reward_after: Number
    gold_before: Number
    gold_after: Number


class Machine(TypedDict):
    cpu: str
    cores: int
    threads: int
    memory_gib: Number
    accelerator: str | None


class Report(TypedDict):
    schema: Literal[1]
    name: str
    seed: int
    created: str
    total_seconds: Number
    stages: list[Stage]
    labels: Labels | None
    reward_model: RewardModel | None
    policy: Policy | None
    curve: list[CurvePoint]
    stopped_because: str | None
    examples: list[Example]
    config: str
    machine: Machine
    versions: dict[str, str]


def check(report: Any) -> Report:
    """The report, known to fit the schema. Raises `UserError` that names up to five keys that do not."""
    found = report.get("schema") if isinstance(report, dict) else None
    if isinstance(report, dict) and found != SCHEMA:
        raise UserError(f"report: schema {found!r}, but this version reads {SCHEMA}; run the pipeline again with this version")
    checked: Report = _validated(Report, report, "report")
    _check_histogram(checked["policy"])
    return checked


def check_reward_model(model: Any) -> RewardModel:
    """A `reward_model.json`, known to fit the schema. Raises `UserError` that names up to five keys that do not."""
    checked: RewardModel = _validated(RewardModel, model, "reward_model")
    return checked


def _validated(kind: Any, value: Any, name: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[:5]
        lines = [f"  {'.'.join(map(str, e['loc'])) or name}: {e['msg']}, got {e['input']!r:.60}" for e in first]
        raise UserError(
            f"{name}: {error.error_count()} keys do not fit schema {SCHEMA} (docs/metrics.md lists them all):\n"
            + "\n".join(lines)
        ) from error


def _check_histogram(policy: Policy | None) -> None:
    """Counts without their bins cannot be drawn; the types alone do not see it."""
    if policy is None:
        return
    edges = policy["histogram"]["edges"]
    if any(not low < high for low, high in pairwise(edges)):
        raise UserError("report: policy.histogram.edges must rise; they are the borders between the bins, in order")
    for key in ("before", "after"):
        counts = len(policy["histogram"][key])
        if counts != max(len(edges) - 1, 0):
            raise UserError(
                f"report: policy.histogram.{key} has {counts} counts, but {len(edges)} edges make "
                f"{max(len(edges) - 1, 0)} bins; write one count per bin"
            )
