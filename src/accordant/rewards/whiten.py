"""Rewards of unit size, by constants that are measured before training and never change.

Rewards that are added must be of one size, and a price of KL that fits one reward fits another only if both are. The constants
come from reference answers: those of the batch that is optimised would make an answer's reward depend on its neighbours, take
away every gain that all answers share, and follow the policy as it moves.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from accordant.data.rows import read
from accordant.rewards import Reward, Whitening
from accordant.types import Answer, Chat, Pair, Ranking, Rating, Row, Thumb, UserError


def whitened(reward: Reward, cfg: Whitening | None, name: str) -> Reward:
    """(reward - mean) / sd, or the reward itself where `cfg` is None.

    Raises:
        UserError: all reference answers have one and the same reward; the file holds no answers, or a single one.
    """
    if cfg is None:
        return reward
    mean, sd = _constants(reward, cfg, name)

    def standardised(answers: Sequence[Answer]) -> Tensor:
        return ((reward(answers).double() - mean) / sd).float()

    return standardised


def _constants(reward: Reward, cfg: Whitening, name: str) -> tuple[float, float]:
    if cfg.reference is None:
        assert cfg.mean is not None
        assert cfg.sd is not None
        return cfg.mean, cfg.sd
    answers = reference_answers(cfg.reference)
    scores = reward(answers).double()
    sd = float(scores.std())
    # Equal answers get equal rewards up to the rounding of their batches.
    if sd <= 1e-6 * max(1.0, float(scores.abs().max())):
        raise UserError(
            f"{cfg.reference}: all {len(answers)} reference answers have the same reward {scores[0]:g} from {name}, so it "
            "has no size to be standardised by: use more varied answers, or give mean and sd"
        )
    return float(scores.mean()), sd


def reference_answers(path: str) -> list[Answer]:
    """Every answer of a file of rows, taken as finished. Raises UserError where there are fewer than two."""
    rows: list[Row] = read(path)
    answers = [answer for row in rows for answer in _answers(row, path)]
    if len(answers) < 2:
        raise UserError(
            f"{path} holds {len(answers)} answer: a standard deviation needs at least 2, and some hundreds to mean much"
        )
    return answers


def _answers(row: Row, path: str) -> list[Answer]:
    match row:
        case Chat() | Thumb() | Rating():
            texts: tuple[str, ...] = (row.completion,)
        case Pair():
            texts = (row.chosen, row.rejected)
        case Ranking():
            texts = row.completions
        case _:
            raise UserError(
                f"{path}: reference answers are rows of prompts and completions (or pairs, rankings, ratings, thumbs), found "
                f"{type(row).__name__} rows"
            )
    return [Answer(row.prompt, text, True) for text in texts]
