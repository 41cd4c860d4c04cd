"""Rows of one kind -> rows of another, and a count of everything that did not come through, by reason.

    ==========  =======================================================================================================
    to          from
    ==========  =======================================================================================================
    `pairs`     rankings: C(K, 2), preferred first. Ratings: answers to one prompt, the margin is the difference of the
                scores. Thumbs: each answer with a thumb up against each with a thumb down. Pairs themselves
    `rankings`  ratings: one ranking of each labeler and prompt
    `ratings`   themselves: one row for each answer of a file that holds several in one
    `kwise`     one ranking of all answers to a prompt: of pairs that say how each two of them compare, of mean ratings,
                of several labelers' rankings by their Borda score (`stats.consensus`)
    `thumbs`    pairs: up for the chosen answer, down for the rejected
    `chats`     the answers worth learning: chosen ones, the best of a ranking, the best rated, those with a thumb up
    `prompts`   each prompt once, from everything that has one
    ==========  =======================================================================================================

Nothing is guessed: where two answers are not comparable no pair is made, and where answers are not all compared no ranking.
Left out: thumbs from ratings, which need a scale's neutral point; models of the labelers' skill.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any, Literal, TypeAlias

from accordant.data.consensus import agreed, align, combined
from accordant.data.split import key
from accordant.stats.consensus import borda_ranking
from accordant.stats.rankings import levels
from accordant.types import Chat, Pair, Prompt, PromptText, Ranking, Rating, Row, Source, Thumb, UserError

Dropped: TypeAlias = "Counter[str]"
"""How many possible rows did not come to be, by the reason."""


@dataclass(frozen=True)
class Rules:
    """What to do where there is a choice.

    Args:
        ties: answers that were judged equally good become a pair with `tie`, or no pair.
        rejects: every ranked answer beats every rejected one ("lose"), or the rejected are in no pair ("exclude").
        attribute: the rating to go by; None = the mean of the attributes that the answers have in common, as they are.
        min_gap: scores closer than this make no pair; in the units of the ratings.
        consensus: several labelers' rankings of one item become one set of pairs, each weighted by the share that agrees;
            several labelers' pairs of the same two answers become one pair before anything is made of them.
        min_share: a consensus needs more than this share of the labelers, in [0.5, 1).

    Raises:
        UserError: a number is out of its range.
    """

    ties: Literal["keep", "drop"] = "drop"
    rejects: Literal["lose", "exclude"] = "lose"
    attribute: str | None = None
    min_gap: float = 0.0
    consensus: bool = False
    min_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0.5 <= self.min_share < 1:
            raise UserError(
                f"min-share is {self.min_share:g}; it must be at least 0.5 and below 1, so that one side can have it"
            )
        if not self.min_gap >= 0:
            raise UserError(f"min-gap is {self.min_gap:g}; it must be at least 0")


@dataclass(frozen=True)
class Converted:
    """The new rows in the order of the old, and what was dropped."""

    rows: tuple[Row, ...]
    dropped: Dropped


def convert(rows: Sequence[Row], to: str, rules: Rules | None = None) -> Converted:
    """Convert rows of one kind; `to` is a name of the module's table.

    Raises:
        UserError: the rows are of several kinds, or of one that does not become `to`; a rule changes nothing there; or no row
            comes out of it.
    """
    rules = rules or Rules()
    if to not in TARGETS:
        raise UserError(f"rows cannot be converted to {to!r}; choose from {', '.join(TARGETS)}")
    kinds = sorted({type(row).__name__ for row in rows})
    if not rows:
        raise UserError("there are no rows to convert; give at least one")
    if len(kinds) != 1:
        raise UserError(f"the rows are of {len(kinds)} kinds ({', '.join(kinds)}); give rows of one kind")
    known = TARGETS[to]
    if type(rows[0]) not in known:
        possible = [name for name, sources in TARGETS.items() if type(rows[0]) in sources]
        fix = f"they can become {', '.join(possible)}" if possible else "they become nothing else"
        raise UserError(f"{kinds[0]} rows cannot become {to}; {fix}")
    _check_effect(type(rows[0]), to, rules)
    dropped: Dropped = Counter()
    single = list(combined(rows, rules.min_share, dropped)) if rules.consensus and isinstance(rows[0], Pair) else rows
    made = tuple(known[type(rows[0])](single, rules, dropped))
    dropped = +dropped  # without the zeros
    if not made:
        reasons = "; ".join(f"{reason}: {count:,}" for reason, count in dropped.items())
        raise UserError(f"of {len(rows)} {kinds[0]} rows none gives {to} ({reasons or 'nothing in them is comparable'})")
    return Converted(made, dropped)


def _check_effect(kind: type[Row], to: str, rules: Rules) -> None:
    """A rule that would do nothing, without a word, was meant to do something."""
    if rules.min_share != Rules.min_share and not rules.consensus:
        raise UserError(f"min-share is {rules.min_share:g}, but no consensus is asked for; add --consensus, or leave it out")
    for name, effect in _EFFECTS.items():
        if getattr(rules, name) != getattr(Rules, name) and kind not in effect.get(to, ()):
            where = "; ".join(
                f"{', '.join(of.__name__ for of in kinds)} rows to {target}" for target, kinds in effect.items() if kinds
            )
            flag = name.replace("_", "-")
            raise UserError(f"{flag} changes nothing from {kind.__name__} rows to {to}; leave it out (it is for {where})")


_EFFECTS: Mapping[str, Mapping[str, tuple[type[Row], ...]]] = {
    "ties": {"pairs": (Pair, Ranking, Rating)},
    "rejects": {"pairs": (Ranking,)},
    "attribute": dict.fromkeys(("pairs", "rankings", "kwise", "chats"), (Rating,)),
    "min_gap": {"pairs": (Pair, Rating)},
    "consensus": {"pairs": (Pair, Ranking), "thumbs": (Pair,), "chats": (Pair,), "kwise": (Pair,), "prompts": (Pair,)},
}
"""Where each rule has an effect: the new rows, and what they are made of."""


# --- pairs -----------------------------------------------------------------------------------------------------------


def pairs_of_pairs(rows: Sequence[Pair], rules: Rules, dropped: Dropped) -> Iterable[Pair]:
    """Those that the rules keep; the others are counted in `dropped`."""
    for row in rows:
        if row.tie and rules.ties == "drop":
            dropped["tied"] += 1
        elif row.margin < rules.min_gap and not row.tie:
            dropped[f"with a margin below {rules.min_gap:g}"] += 1
        else:
            yield row


def pairs_of_rankings(rows: Sequence[Ranking], rules: Rules, dropped: Dropped) -> Iterable[Pair]:
    """C(K, 2) pairs of each ranking, preferred first, or the consensus of several; what the rules leave out is counted."""
    if rules.consensus:
        for item in align(rows, dropped):
            yield from agreed(item, rules.ties == "keep", rules.rejects, rules.min_share, dropped)
        return
    for row in rows:
        level = levels(row)
        for a, b in combinations(sorted(range(len(level)), key=lambda i: int(level[i])), 2):
            marked = (a in row.rejected) + (b in row.rejected)
            if marked == 2:
                dropped["of two rejected answers"] += 1
            elif marked and rules.rejects == "exclude":
                dropped["with a rejected answer"] += 1
            elif row.completions[a] == row.completions[b]:
                dropped["of two equal texts"] += 1
            elif level[a] == level[b] and rules.ties == "drop":
                dropped["tied"] += 1
            else:
                tie = bool(level[a] == level[b])
                better, worse = row.completions[a], row.completions[b]
                yield Pair(row.prompt, better, worse, tie=tie, labeler=row.labeler, source=row.source)


def _pairs_of_ratings(rows: Sequence[Rating], rules: Rules, dropped: Dropped) -> Iterable[Pair]:
    for prompt, answers in _rated(rows, _wanted(rows, rules), dropped).items():
        for first, second in combinations(answers, 2):
            shared = first.scores.keys() & second.scores.keys()
            if not shared:
                dropped["without a rating in common"] += 1
                continue
            gap = _mean(first.scores[name] - second.scores[name] for name in shared)
            better, worse = (first, second) if gap >= 0 else (second, first)
            if gap == 0 and rules.ties == "keep":
                yield Pair(prompt, better.completion, worse.completion, tie=True, source=better.source)
            elif gap == 0:
                dropped["tied"] += 1
            elif abs(gap) < rules.min_gap:
                dropped[f"less than {rules.min_gap:g} apart"] += 1
            else:
                yield Pair(prompt, better.completion, worse.completion, margin=abs(gap), source=better.source)


def _pairs_of_thumbs(rows: Sequence[Thumb], rules: Rules, dropped: Dropped) -> Iterable[Pair]:  # noqa: ARG001
    votes: defaultdict[PromptText, Counter[str]] = defaultdict(Counter)
    places: dict[tuple[PromptText, str], Source] = {}
    for row in rows:
        votes[row.prompt][row.completion] += 1 if row.up else -1
        places.setdefault((row.prompt, row.completion), row.source)
    for prompt, count in votes.items():
        up, down = ([text for text, votes in count.items() if votes * sign > 0] for sign in (1, -1))
        dropped["answers with as many thumbs up as down"] += len(count) - len(up) - len(down)
        if not up or not down:
            dropped["answers with none of the other thumb under their prompt"] += len(up) + len(down)
        for good in up:
            yield from (Pair(prompt, good, bad, source=places[prompt, good]) for bad in down)


# --- rankings --------------------------------------------------------------------------------------------------------


def _rankings_of_ratings(rows: Sequence[Rating], rules: Rules, dropped: Dropped) -> Iterable[Ranking]:
    wanted = _wanted(rows, rules)
    by_labeler: defaultdict[str, list[Rating]] = defaultdict(list)
    for row in rows:
        by_labeler[row.labeler].append(row)
    for labeler, own in by_labeler.items():
        yield from _ranked(own, wanted, dropped, labeler)


def _kwise_of_ratings(rows: Sequence[Rating], rules: Rules, dropped: Dropped) -> Iterable[Ranking]:
    labelers = {row.labeler for row in rows}
    return _ranked(rows, _wanted(rows, rules), dropped, labelers.pop() if len(labelers) == 1 else "consensus")


def _ranked(rows: Sequence[Rating], wanted: set[str], dropped: Dropped, labeler: str) -> Iterable[Ranking]:
    """The answers to each prompt, best mean rating first."""
    for prompt, answers in _rated(rows, wanted, dropped).items():
        shared = set.intersection(*(set(answer.scores) for answer in answers))
        if len(answers) < 2:
            dropped["prompts with one answer"] += 1
        elif not shared:
            dropped["prompts whose answers have no rating in common"] += 1
        else:
            yield _by_score(prompt, answers, [_mean(a.scores[name] for name in shared) for a in answers], labeler)


def _by_score(prompt: PromptText, answers: Sequence[Rating], scores: Sequence[float], labeler: str) -> Ranking:
    groups = tuple(tuple(i for i, own in enumerate(scores) if own == score) for score in sorted(set(scores), reverse=True))
    return Ranking(prompt, tuple(a.completion for a in answers), groups, labeler=labeler, source=answers[0].source)


def _kwise_of_rankings(rows: Sequence[Ranking], rules: Rules, dropped: Dropped) -> Iterable[Ranking]:  # noqa: ARG001
    return [borda_ranking(item) for item in align(rows, dropped)]


def _kwise_of_pairs(rows: Sequence[Pair], rules: Rules, dropped: Dropped) -> Iterable[Ranking]:  # noqa: ARG001
    """A prompt's pairs as one ranking, where they say how each two answers compare and do not contradict each other."""
    by_prompt: defaultdict[PromptText, list[Pair]] = defaultdict(list)
    for row in rows:
        by_prompt[row.prompt].append(row)
    for prompt, own in by_prompt.items():
        texts = list(dict.fromkeys(text for row in own for text in (row.chosen, row.rejected)))
        beats = {(row.chosen, row.rejected) for row in own if not row.tie}
        ties = {frozenset((row.chosen, row.rejected)) for row in own if row.tie}
        compared = {frozenset(pair) for pair in beats} | ties
        lost = {text: sum((other, text) in beats for other in texts) for text in texts}
        if len(texts) < 2:
            dropped["prompts whose answers are one text"] += 1
        elif len(compared) < len(texts) * (len(texts) - 1) / 2:
            dropped["prompts whose answers are not all compared"] += 1
        elif len(compared) < len(beats) + len(ties) or any(
            (lost[a] < lost[b]) != ((a, b) in beats) for a in texts for b in texts if a != b
        ):
            dropped["prompts whose pairs contradict each other"] += 1
        else:
            groups = tuple(tuple(i for i, text in enumerate(texts) if lost[text] == n) for n in sorted(set(lost.values())))
            yield Ranking(prompt, tuple(texts), groups, source=own[0].source)


def _wanted(rows: Sequence[Rating], rules: Rules) -> set[str]:
    """The ratings that count."""
    known = {name for row in rows for name in row.scores}
    if rules.attribute is not None and rules.attribute not in known:
        raise UserError(f"no row rates {rules.attribute!r}; the attributes are {', '.join(sorted(known))}")
    return known if rules.attribute is None else {rules.attribute}


def _rated(rows: Sequence[Rating], wanted: set[str], dropped: Dropped) -> dict[PromptText, list[Rating]]:
    """Each prompt's answers, once, with the mean over labelers of each rating that counts."""
    heard: defaultdict[tuple[PromptText, str], list[Rating]] = defaultdict(list)
    for row in rows:
        if wanted.isdisjoint(row.scores):
            dropped[f"rows that do not rate {', '.join(sorted(wanted))}"] += 1
        else:
            heard[row.prompt, row.completion].append(row)
    answers: defaultdict[PromptText, list[Rating]] = defaultdict(list)
    for (prompt, completion), ratings in heard.items():
        names = sorted({name for row in ratings for name in row.scores} & wanted)
        scores = {name: fmean(row.scores[name] for row in ratings if name in row.scores) for name in names}
        answers[prompt].append(Rating(prompt, completion, scores, source=ratings[0].source))
    return answers


def _mean(numbers: Iterable[float]) -> float:
    """To nine decimals: means of thirds that are equal may differ in the last bit, and a tie must stay one."""
    return round(fmean(numbers), 9)


# --- thumbs, chats, prompts ------------------------------------------------------------------------------------------


def _thumbs_of_pairs(rows: Sequence[Pair], rules: Rules, dropped: Dropped) -> Iterable[Thumb]:  # noqa: ARG001
    """One thumb for each answer; an answer that wins one pair and loses another is neither good nor bad."""
    judged: defaultdict[tuple[PromptText, str], set[bool]] = defaultdict(set)
    places: dict[tuple[PromptText, str], Source] = {}
    for row in rows:
        if row.tie:
            dropped["tied pairs"] += 1
            continue
        for text, up in ((row.chosen, True), (row.rejected, False)):
            dropped["answers that are there already"] += up in judged[row.prompt, text]
            judged[row.prompt, text].add(up)
            places.setdefault((row.prompt, text), row.source)
    for (prompt, text), ups in judged.items():
        if len(ups) == 1:
            yield Thumb(prompt, text, next(iter(ups)), source=places[prompt, text])
        else:
            dropped["answers that win one pair and lose another"] += 1


def _chats_of_pairs(rows: Sequence[Pair], rules: Rules, dropped: Dropped) -> Iterable[Chat]:  # noqa: ARG001
    dropped["tied pairs"] += sum(row.tie for row in rows)
    return _once([Chat(row.prompt, row.chosen, row.source) for row in rows if not row.tie], dropped)


def _chats_of_rankings(rows: Sequence[Ranking], rules: Rules, dropped: Dropped) -> Iterable[Chat]:  # noqa: ARG001
    dropped["rankings that reject every answer"] += sum(not row.groups for row in rows)
    best = [Chat(row.prompt, row.completions[i], row.source) for row in rows if row.groups for i in row.groups[0]]
    return _once(best, dropped)


def _chats_of_ratings(rows: Sequence[Rating], rules: Rules, dropped: Dropped) -> Iterable[Chat]:
    return _chats_of_rankings(list(_kwise_of_ratings(rows, rules, dropped)), rules, dropped)


def _chats_of_thumbs(rows: Sequence[Thumb], rules: Rules, dropped: Dropped) -> Iterable[Chat]:  # noqa: ARG001
    dropped["with a thumb down"] += sum(not row.up for row in rows)
    return _once([Chat(row.prompt, row.completion, row.source) for row in rows if row.up], dropped)


def _once(chats: Sequence[Chat], dropped: Dropped) -> Iterable[Chat]:
    first: dict[tuple[PromptText, str], Chat] = {}
    for chat in chats:
        first.setdefault((chat.prompt, chat.completion), chat)
    dropped["answers that are there already"] += len(chats) - len(first)
    return first.values()


def _prompts(rows: Sequence[Any], rules: Rules, dropped: Dropped) -> Iterable[Prompt]:  # noqa: ARG001
    first: dict[str, Prompt] = {}
    for row in rows:
        first.setdefault(key(row), Prompt(row.prompt, row.source))
    dropped["rows of a prompt that is there already"] += len(rows) - len(first)
    return first.values()


def _as_they_are(rows: Sequence[Row], rules: Rules, dropped: Dropped) -> Iterable[Row]:  # noqa: ARG001
    return rows


TARGETS: Mapping[str, Mapping[type, Callable[..., Iterable[Row]]]] = {
    "pairs": {Pair: pairs_of_pairs, Ranking: pairs_of_rankings, Rating: _pairs_of_ratings, Thumb: _pairs_of_thumbs},
    "rankings": {Ranking: _as_they_are, Rating: _rankings_of_ratings},
    "kwise": {Ranking: _kwise_of_rankings, Rating: _kwise_of_ratings, Pair: _kwise_of_pairs},
    "ratings": {Rating: _as_they_are},
    "thumbs": {Thumb: _as_they_are, Pair: _thumbs_of_pairs},
    "chats": {
        Chat: _as_they_are, Pair: _chats_of_pairs, Ranking: _chats_of_rankings, Rating: _chats_of_ratings,
        Thumb: _chats_of_thumbs,
    },
    "prompts": dict.fromkeys((Prompt, Chat, Pair, Ranking, Rating, Thumb), _prompts),
}  # fmt: skip
