"""Which arithmetic is faster here, decided by a short measurement and not by a flag of the processor."""

from __future__ import annotations

import statistics
import time
from typing import Literal

import torch
from torch import nn

Precision = Literal["float32", "bfloat16"]

SMALL = 3_000_000
"""Below this many parameters float32 is always the faster one (measured on AVX512-BF16), so nothing is timed."""


def resolve(wanted: Literal["auto", "float32", "bfloat16"], model: nn.Module) -> Precision:
    """`auto` becomes the faster of the two for this model on this machine; the answer belongs to a run's identity.

    bfloat16 means autocast over float32 weights. Where the two are within a tenth, float32 is taken, so that noise does not
    decide.
    """
    if wanted != "auto":
        return wanted
    parameters = list(model.parameters())
    if sum(p.numel() for p in parameters) < SMALL:
        return "float32"
    if parameters[0].device.type != "cpu":
        # Older GPUs only emulate bfloat16, which saves nothing; other accelerators are taken at their most exact.
        native = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if native else "float32"
    widest = max((m for m in model.modules() if isinstance(m, nn.Linear)), key=lambda m: m.weight.numel(), default=None)
    if widest is None:
        return "float32"
    return "bfloat16" if _seconds(widest, "bfloat16") < 0.9 * _seconds(widest, "float32") else "float32"


def _seconds(layer: nn.Linear, precision: Precision) -> float:
    x = torch.randn(256, layer.in_features, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()  # as inside a model; and under adapters the layer itself is frozen and has no gradient at all
    times = []
    for _ in range(6):
        begin = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            layer(x).float().sum().backward()
        times.append(time.perf_counter() - begin)
        layer.zero_grad(set_to_none=True)
    return statistics.median(times[1:])
