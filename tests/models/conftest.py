"""One tiny language model of each family, for what must hold for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from accordant.models.language import LanguageModel
from tiny import FAMILIES, language_model, tiny_causal


@pytest.fixture(params=FAMILIES)
def model_of_family(request: pytest.FixtureRequest, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> LanguageModel:
    """Without dropout."""
    model = language_model(tiny_causal(tmp_path, tokenizer, request.param))
    model.module.eval()
    return model
