"""A reward model from rankings: the likelihood of the whole order (Plackett 1975; Luce 1959; arXiv 2301.11270, eq. 4).

The best answer is drawn first, from all K, by a softmax over the scores; then the next from those that are left. Unlike
`reward_kwise`, which asks of every pair alone, a clear winner among many counts for more. At K = 2 both are Bradley-Terry.
"""

from __future__ import annotations

from accordant.algos import reward_kwise
from accordant.ops.preference import plackett_luce_loss
from accordant.types import Batch, Metrics, ScoreOut, Sums

ROWS = reward_kwise.ROWS
HEAD = reward_kwise.HEAD
Config = reward_kwise.Config
check = reward_kwise.check
collate = reward_kwise.collate
counts = reward_kwise.counts


def loss(out: ScoreOut, batch: Batch, cfg: Config) -> tuple[Sums, Metrics]:
    """-sum over prompts of the log-likelihood of their order."""
    score, level = out.score[:, 0].view_as(batch.extra["level"]), batch.extra["level"]
    counted = reward_kwise.taking_part(batch, cfg.rejects)
    preference = plackett_luce_loss(score, level, counted).sum()
    return {"preference": preference}, {
        "preference": (float(preference.detach()), counts(batch)["preference"]),
        "accuracy": reward_kwise.accuracy(score, level, counted),
    }
