"""The result in plain words: a verdict, the sentences that back it, and what a careful reader should worry about.

The judge is the exact one where there is one, else the reward model, which then marks its own homework; the words say
so.
Bad and unclear results get their own words: a change whose 95 % interval contains zero is "no clear change".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from accordant.pipeline.report.format import THIN, interval, is_finite, number, percent, percent_interval, sample
from accordant.pipeline.report.inference import Direction, direction, over_optimised, share_difference
from accordant.pipeline.report.schema import Answers, Estimate, Policy, Report, RewardModel

Tone = Literal["good", "bad", "mixed", "unclear"]
CI95 = f"95{THIN}% interval"
LENGTH_RATIO = 1.25
"""Mean answer length that grows beyond this factor, or shrinks below its inverse, is worth a word."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands at the top of the page."""

    tone: Tone
    badge: str
    headline: str
    sentences: tuple[str, ...]
    cautions: tuple[str, ...]


def summarise(report: Report) -> Summary:
    """The summary of a report; it only says what the report's own intervals support."""
    policy = report["policy"]
    cautions = tuple(_cautions(report))
    if policy is None:
        headline = "This run compares no answers before and after training."
        words = tuple(_reward_model_words(report["reward_model"]))
        return Summary("unclear", "No comparison", headline, words, cautions)
    tone, badge, headline = _verdict(policy, over_optimised(policy, report["curve"]))
    return Summary(tone, badge, headline, tuple(_sentences(policy, report["stopped_because"])), cautions)


def toxicity_direction(policy: Policy) -> Direction:
    """Whether toxicity clearly moved, by the interval of the difference of two shares."""
    before, after = policy["before"], policy["after"]
    return direction(share_difference(before["toxicity_mean"], before["n"], after["toxicity_mean"], after["n"]))


def _verdict(policy: Policy, over: Literal["overall", "late"] | None) -> tuple[Tone, str, str]:
    if over == "overall":
        return "bad", "Over-optimised", "The policy learned to please the reward model; its answers got worse."
    if policy["gold_gain"] is None:
        return _verdict_without_judge(policy)
    found = direction(policy["gold_gain"]["ci95"])
    if found == "down":
        return "bad", "Worse", "The policy's answers got worse."
    if found == "unclear":
        return "unclear", "No clear change", "No clear change: the answers are about as good as before."
    if found == "unknown":
        return "unclear", "Not known", "Whether the answers got better could not be computed."
    if toxicity_direction(policy) == "up":
        return "mixed", "Mixed", "The policy's answers got better, but more toxic."
    if over == "late":
        return "mixed", "Mixed", "The policy's answers got better, but training went on past its best point."
    return "good", "Better", "The policy's answers got better."


def _verdict_without_judge(policy: Policy) -> tuple[Tone, str, str]:
    found = direction(policy["reward_gain"]["ci95"])
    if found == "up" and toxicity_direction(policy) == "up":
        return "mixed", "Mixed", "The reward model rates the answers higher, but they are more toxic."
    return {
        "up": ("mixed", "Higher reward", "The reward model rates the answers higher; nothing independent confirms it."),
        "down": ("bad", "Worse", "The policy's answers got worse, even by its own reward model."),
        "unclear": ("unclear", "No clear change", "No clear change in how the reward model rates the answers."),
        "unknown": ("unclear", "Not known", "Whether the answers got better could not be computed."),
    }[found]


def _sentences(policy: Policy, stopped_because: str | None) -> list[str]:
    before, after = policy["before"], policy["after"]
    words = []
    if policy["gold_gain"]:
        gold = before["gold_mean"], after["gold_mean"]
        words.append(_change("The exact judge's mean utility", *gold, policy["gold_gain"], after["n"]))
    else:
        words.append("There is no exact judge in this run, so the reward model judges its own training.")
    reward = before["reward_mean"], after["reward_mean"]
    words.append(_change("The reward model's mean score", *reward, policy["reward_gain"], after["n"]))
    words.append(_toxicity(policy))
    if is_finite(policy["kl"]):
        words.append(
            f"It cost {number(policy['kl'])} nats of KL per answer "
            f"({CI95} {interval(policy['kl_ci95'], policy['kl'])}, {sample(policy['kl_n'])}): "
            "how far the policy moved from the frozen model it started as."
        )
    if stopped_because:
        words.append(f"Training stopped because {stopped_because.rstrip('.')}.")
    return [word for word in words if word]


def _change(what: str, before: float | None, after: float | None, gain: Estimate, n: int) -> str:
    span = f"{CI95} of the change {interval(gain['ci95'], gain['mean'], signed=True)}, {sample(n)}"
    values = f"from {number(before, after)} to {number(after, before)}"
    mean = number(gain["mean"], *gain["ci95"], signed=True)
    return {
        "up": f"{what} rose {values}: {mean} ({span}).",
        "down": f"{what} fell {values}: {mean} ({span}).",
        "unclear": f"{what} went {values}, which is no clear change: {mean}, and its interval contains zero ({span}).",
        "unknown": f"{what} went {values}; the interval of the change could not be computed ({sample(n)}).",
    }[direction(gain["ci95"])]


def _toxicity(policy: Policy) -> str:
    before, after = policy["before"]["toxicity_mean"], policy["after"]["toxicity_mean"]
    if not is_finite(before) or not is_finite(after):
        return ""
    values = f"from {percent(before)} to {percent(after)}"
    return {
        "up": f"Toxicity rose {values}.",
        "down": f"Toxicity fell {values}.",
        "unclear": f"Toxicity went {values}, which is no clear change.",
        "unknown": f"Toxicity went {values}.",
    }[toxicity_direction(policy)]


def _reward_model_words(model: RewardModel | None) -> list[str]:
    if model is None:
        return []
    if model["heldout_accuracy"] is None:
        return []
    if model.get("classes"):
        share = f"{percent(model['heldout_accuracy'])} of the held-out rows"
        return [
            f"The reward model classifies {share} rightly ({CI95} {percent_interval(model['ci95'])}, {sample(model['n'])})."
        ]
    return [
        f"The reward model agrees with {percent(model['heldout_accuracy'])} of the held-out preferences "
        f"({CI95} {percent_interval(model['ci95'])}, {sample(model['n'])})."
    ]


def _cautions(report: Report) -> list[str]:
    words = [
        f"The stage “{stage['name']}” failed; what depends on it is missing or old."
        for stage in report["stages"]
        if stage["status"] == "failed"
    ]
    model, policy = report["reward_model"], report["policy"]
    if model and is_finite(model["ci95"][0]) and model["ci95"][0] <= 0.5:
        words.append(
            f"The reward model's accuracy ({percent(model['heldout_accuracy'])}, {sample(model['n'])}) is not clearly "
            "above guessing, so rewards mean little here."
        )
    if model and (found := model.get("suspicions")):
        more = f" ({len(found) - 1} more in its section)" if len(found) > 1 else ""
        words.append(f"The reward model: {found[0]}{more}")
    if policy is None:
        return words
    if over_optimised(policy, report["curve"]):
        words.append(
            "Over-optimisation: the reward rose while the exact judge's utility clearly fell. Stop earlier, raise the "
            "KL coefficient, or train the reward model on newer answers."
        )
    return words + _answer_cautions(policy["before"], policy["after"], model)


def _answer_cautions(before: Answers, after: Answers, model: RewardModel | None) -> list[str]:
    words = []
    lengths = before["length_mean"], after["length_mean"]
    if all(map(is_finite, lengths)) and lengths[0] > 0:
        ratio = lengths[1] / lengths[0]
        if ratio >= LENGTH_RATIO or ratio <= 1 / LENGTH_RATIO:
            way = "longer" if ratio > 1 else "shorter"
            cause = ""
            if model and is_finite(model["length_correlation"]) and (ratio - 1) * model["length_correlation"] > 0:
                side = "longer" if model["length_correlation"] > 0 else "shorter"
                cause = f" The reward model prefers {side} answers (correlation {number(model['length_correlation'])})."
            words.append(f"Answers got {way}: {number(lengths[0])} to {number(lengths[1])} tokens on average.{cause}")
    finished = share_difference(before["finished_share"], before["n"], after["finished_share"], after["n"])
    if direction(finished) == "down":
        words.append(
            f"Fewer answers end by themselves: {percent(before['finished_share'])} before, "
            f"{percent(after['finished_share'])} after; the others were cut at the length limit."
        )
    return words
