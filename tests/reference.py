"""Scalar float64 versions of every equation in `accordant.ops`, written from the papers as plain Python loops.

They exist to disagree: nothing here was derived from the code under test. Lists in, floats out; nothing is fast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Row = Sequence[float]
Mask = Sequence[bool]


# --- distributions ---------------------------------------------------------------------------------------------------


def log_softmax(logits: Row, temperature: float = 1.0) -> list[float]:
    """log p_v = z_v - log sum_w exp(z_w), z = logits / temperature."""
    z = [x / temperature for x in logits]
    top = max(z)
    log_total = top + math.log(sum(math.exp(x - top) for x in z))
    return [x - log_total for x in z]


def entropy(logits: Row, temperature: float = 1.0) -> float:
    """-sum_v p_v log p_v, in nats."""
    return -sum(math.exp(x) * x for x in log_softmax(logits, temperature) if x > -math.inf)


def kl(log_p: Row, log_q: Row) -> float:
    """KL(p || q) = sum_v p_v (log p_v - log q_v), over the whole vocabulary."""
    return sum(math.exp(p) * (p - q) for p, q in zip(log_p, log_q, strict=True))


def kl_estimates(log_p: float, log_q: float) -> dict[str, float]:
    """Schulman's three estimators at one token sampled from p, with r = q / p."""
    r = math.exp(log_q - log_p)
    return {"k1": -math.log(r), "k2": math.log(r) ** 2 / 2, "k3": (r - 1) - math.log(r)}


def inverse_cdf(log_p: Row, uniform: float) -> int:
    """The first token whose cumulative probability passes `uniform`."""
    total = 0.0
    for token, x in enumerate(log_p):
        total += math.exp(x)
        if total > uniform:
            return token
    return max(token for token, x in enumerate(log_p) if x > -math.inf)


def adaptive_kl(beta: float, observed: float, target: float, horizon: float, rows: int) -> float:
    """Ziegler et al. 2019, section 2.2, with K_beta = rows / horizon: the step of OpenAI's controller."""
    error = max(-0.2, min(0.2, observed / target - 1))
    return beta * (1 + error * rows / horizon)


# --- statistics over the tokens that count ----------------------------------------------------------------------------


def whiten(rows: Sequence[Row], masks: Sequence[Mask], shift_mean: bool = True, eps: float = 1e-8) -> list[list[float]]:
    """(x - mean) / sqrt(population variance + eps); `shift_mean=False` puts the mean back; 0 where nothing counts."""
    counted = [x for row, mask in zip(rows, masks, strict=True) for x, m in zip(row, mask, strict=True) if m]
    mean = sum(counted) / len(counted)
    variance = sum((x - mean) ** 2 for x in counted) / len(counted)
    kept = 0.0 if shift_mean else mean
    return [
        [(x - mean) / math.sqrt(variance + eps) + kept if m else 0.0 for x, m in zip(row, mask, strict=True)]
        for row, mask in zip(rows, masks, strict=True)
    ]


# --- reinforcement learning -------------------------------------------------------------------------------------------


def token_rewards(score: float, penalty: Row, mask: Mask) -> list[float]:
    """-penalty_t at each token, and the score besides at the last one."""
    last = max(t for t, m in enumerate(mask) if m)
    return [(-p if m else 0.0) + (score if t == last else 0.0) for t, (p, m) in enumerate(zip(penalty, mask, strict=True))]


def gae(
    rewards: Row, values: Row, mask: Mask, gamma: float, lam: float, bootstrap: float = 0.0
) -> tuple[list[float], list[float]]:
    """A_t = sum_l (gamma lambda)^l delta_{t+l} for each t; R_t = A_t + V_t (Schulman et al. 2015, eq. 16)."""
    where = [t for t, m in enumerate(mask) if m]
    deltas = []
    for i, t in enumerate(where):
        following = values[where[i + 1]] if i + 1 < len(where) else bootstrap
        deltas.append(rewards[t] + gamma * following - values[t])
    advantage, returns = [0.0] * len(mask), [0.0] * len(mask)
    for i, t in enumerate(where):
        advantage[t] = sum((gamma * lam) ** steps * delta for steps, delta in enumerate(deltas[i:]))
        returns[t] = advantage[t] + values[t]
    return advantage, returns


def clipped_surrogate(logp: float, old_logp: float, advantage: float, clip: float) -> float:
    """-min(ratio A, clip(ratio) A) (Schulman et al. 2017, eq. 7, with its sign turned into a loss)."""
    ratio = math.exp(logp - old_logp)
    return -min(ratio * advantage, max(1 - clip, min(1 + clip, ratio)) * advantage)


def clipped_value_loss(value: float, old_value: float, returns: float, clip: float) -> float:
    """Half the larger of the squared errors of the value and of the value held within `clip` of the old one."""
    held = max(old_value - clip, min(old_value + clip, value))
    return 0.5 * max((value - returns) ** 2, (held - returns) ** 2)


# --- preferences ------------------------------------------------------------------------------------------------------


def bradley_terry(chosen: float, rejected: float, margin: float = 0.0) -> tuple[float, float]:
    """-log sigmoid(d), d = chosen - rejected - margin, and its derivative by d: -sigmoid(-d)."""
    d = chosen - rejected - margin
    loss = math.log1p(math.exp(-d)) if d >= 0 else -d + math.log1p(math.exp(d))
    slope = -math.exp(-d) / (1 + math.exp(-d)) if d >= 0 else -1 / (1 + math.exp(d))
    return loss, slope


def _log_sum_exp(values: Row) -> float:
    top = max(values)
    return top + math.log(math.fsum(math.exp(x - top) for x in values))


def davidson(chosen: float, rejected: float, nu: float, tie: bool, margin: float = 0.0) -> tuple[float, float]:
    """-log P and its derivative by `chosen`, from pi = exp(score) (Davidson 1970, eq. 2.5).

    P(chosen wins) = pi_1 / (pi_1 + pi_2 + nu sqrt(pi_1 pi_2)),  P(tie) = nu sqrt(pi_1 pi_2) / (the same).
    A margin lowers the chosen score of a decided pair, as in Bradley-Terry.
    """
    first, second = chosen - (0.0 if tie else margin), rejected
    logs = [first, second] + ([math.log(nu) + (first + second) / 2] if nu else [])
    total = _log_sum_exp(logs)
    wins, _, *ties = (math.exp(x - total) for x in logs)
    expected = wins + sum(ties) / 2  # of the wins and half-wins of the first
    return (total - logs[2], expected - 0.5) if tie else (total - first, expected - 1)


def k_wise(scores: Row, levels: Sequence[int]) -> tuple[float, list[float]]:
    """InstructGPT's eq. 1 for one prompt: the mean of -log sigmoid(r_w - r_l) over its pairs, and its gradient."""
    pairs = [(i, j) for i, a in enumerate(levels) for j, b in enumerate(levels) if a < b]
    loss, gradient = 0.0, [0.0] * len(scores)
    for winner, loser in pairs:
        one, slope = bradley_terry(scores[winner], scores[loser])
        loss += one / len(pairs)
        gradient[winner] += slope / len(pairs)
        gradient[loser] -= slope / len(pairs)
    return loss, gradient


def plackett_luce(scores: Row, levels: Sequence[int]) -> tuple[float, list[float]]:
    """-log of prod_i exp(s_i) / sum over those not placed before i of exp(s_j), down to the last level, and its gradient.

    Breslow: the members of a tie are each drawn from the set that all of them are still in.
    """
    loss, gradient = 0.0, [0.0] * len(scores)
    for i, level in enumerate(levels):
        if level == max(levels):
            continue
        remaining = [j for j, other in enumerate(levels) if other >= level]
        total = _log_sum_exp([scores[j] for j in remaining])
        loss += total - scores[i]
        gradient[i] -= 1
        for j in remaining:
            gradient[j] += math.exp(scores[j] - total)
    return loss, gradient


def rating_error(output: float, target: float, huber: float | None = None) -> tuple[float, float]:
    """e^2 / 2, or beyond the bend d (|e| - d / 2) (Huber 1964), e = output - target; and its derivative by the output."""
    error = output - target
    if huber is None or abs(error) <= huber:
        return error * error / 2, error
    return huber * (abs(error) - huber / 2), math.copysign(huber, error)


# --- optimisation -----------------------------------------------------------------------------------------------------


def adamw(
    x: float, gradients: Row, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, decay: float = 0.0
) -> float:
    """`x` after one AdamW step per gradient (Loshchilov and Hutter 2017, algorithm 2, at a constant learning rate)."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        x -= lr * decay * x
        x -= lr * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + eps)
    return x
