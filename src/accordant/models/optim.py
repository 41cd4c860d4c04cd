"""One optimiser step: AdamW, a schedule, clipping after accumulation, and an alarm for numbers that are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

from accordant.config import Config, knob


class OptimConfig(Config):
    """AdamW (Loshchilov and Hutter 2017, arXiv 1711.05101)."""

    lr: float = knob(3e-5, "peak learning rate", gt=0)
    schedule: Literal["linear", "cosine", "constant"] = knob("linear", "from the peak down to 0 at the last step, or not")
    warmup: float = knob(0.0, "share of the steps over which the learning rate rises from 0", ge=0, le=1)
    beta1: float = knob(0.9, "decay of the mean gradient", ge=0, lt=1)
    beta2: float = knob(0.999, "decay of the mean squared gradient", ge=0, lt=1)
    eps: float = knob(1e-5, "added to the root of the second moment; 1e-5 as in OpenAI's RLHF code, not torch's 1e-8", gt=0)
    weight_decay: float = knob(0.0, "decoupled weight decay, matrices only", ge=0)
    max_grad_norm: float = knob(1.0, "gradients are scaled down to this norm", gt=0)


class NotFinite(Exception):
    """A loss or gradient became NaN or infinite; the weights are still those of the step before."""


class Optimiser:
    """AdamW over named parameters, with the schedule of `total` steps; `scales` multiplies the learning rate by name prefix.
    `fused`: all of AdamW in one pass over the weights, which rounds differently.

    `step` is called when the gradients of one whole optimiser step have been added up.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], cfg: OptimConfig, total: int, scales: Mapping[str, float] | None = None,
        fused: bool = False,
    ) -> None:  # fmt: skip
        self.cfg = cfg
        self.total = max(1, total)
        self.count = 0
        self.parameters = list(parameters.values())
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in parameters.items():
            scale = next((s for prefix, s in (scales or {}).items() if name.startswith(prefix)), 1.0)
            decay = cfg.weight_decay if parameter.dim() >= 2 else 0.0
            groups.setdefault((scale, decay), []).append(parameter)
        self._scales = [scale for scale, _ in groups]
        self._adam = torch.optim.AdamW(
            [{"params": members, "weight_decay": decay} for (_, decay), members in groups.items()],
            lr=cfg.lr, betas=(cfg.beta1, cfg.beta2), eps=cfg.eps, fused=fused,
        )  # fmt: skip

    def lr(self) -> float:
        """Learning rate of the coming step."""
        warm = round(self.cfg.warmup * self.total)
        if self.count < warm:
            return self.cfg.lr * (self.count + 1) / warm
        left = (self.total - self.count) / max(1, self.total - warm)
        if self.cfg.schedule == "constant":
            return self.cfg.lr
        if self.cfg.schedule == "linear":
            return self.cfg.lr * max(0.0, left)
        return self.cfg.lr * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * (1 - max(0.0, left))))))

    def step(self) -> float:
        """Clip, step, clear. Returns the gradient norm before clipping.

        Raises:
            NotFinite: the norm is NaN or infinite; nothing was changed.
        """
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.cfg.max_grad_norm)
        if not torch.isfinite(norm):
            raise NotFinite(f"the gradient norm is {norm.item()}")
        for group, scale in zip(self._adam.param_groups, self._scales, strict=True):
            group["lr"] = self.lr() * scale
        self._adam.step()
        self.clear()
        self.count += 1
        return float(norm)

    def clear(self) -> None:
        """Forget the gradients that have been added up."""
        self._adam.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {"adam": self._adam.state_dict(), "count": self.count}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._adam.load_state_dict(state["adam"])
        self.count = state["count"]
