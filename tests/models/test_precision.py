from __future__ import annotations

import pytest
import torch
from torch import nn

from accordant.models import precision
from accordant.models.precision import resolve


@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
def test_a_named_precision_is_taken_as_it_is(wanted: str) -> None:
    assert resolve(wanted, nn.Linear(2, 2)) == wanted  # type: ignore[arg-type]


def test_a_small_model_is_float32_and_nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_seconds", lambda *_: pytest.fail("timed"))
    assert resolve("auto", nn.Linear(10, 10)) == "float32"


@pytest.mark.parametrize(("bfloat16", "expected"), [(0.5, "bfloat16"), (0.95, "float32"), (2.0, "float32")])
def test_bfloat16_must_be_clearly_faster(bfloat16: float, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"float32": 1.0, "bfloat16": bfloat16}
    monkeypatch.setattr(precision, "SMALL", 1)
    monkeypatch.setattr(precision, "_seconds", lambda _, arithmetic: seconds[arithmetic])
    assert resolve("auto", nn.Linear(10, 10)) == expected


def test_the_measurement_leaves_no_gradient_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "SMALL", 1)
    layer = nn.Linear(10, 10)
    state = torch.get_rng_state()
    assert resolve("auto", layer) in ("float32", "bfloat16")
    assert layer.weight.grad is None
    assert torch.equal(torch.get_rng_state(), state)


def test_frozen_layers_are_measured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under adapters every layer of the base is frozen."""
    monkeypatch.setattr(precision, "SMALL", 1)
    assert resolve("auto", nn.Linear(10, 10).requires_grad_(False)) in ("float32", "bfloat16")
