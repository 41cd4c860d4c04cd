"""Tests run offline, on one thread, and share one tiny model: nothing is downloaded and no test depends on another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# The same examples on every run; no deadline, because a test must not depend on how busy the machine is.
settings.register_profile("accordant", derandomize=True, deadline=None, database=None, max_examples=60)
settings.load_profile("accordant")

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when huggingface_hub is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")  # read once, when torch is: tiny matrices are slower on several threads

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from accordant.models.language import LanguageModel


@pytest.fixture
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function as in earnest, at a cost that tests can afford."""
    from accordant.feedback import people

    monkeypatch.setattr(people, "_SCRYPT", {"n": 2**4, "r": 8, "p": 1})


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level, 400 tokens, EOS and padding distinct."""
    from builders import byte_level_tokenizer

    return byte_level_tokenizer()


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A Llama checkpoint; read it, never write into it."""
    from tiny import tiny_llama

    return tiny_llama(tmp_path_factory.mktemp("llama"), tokenizer)


@pytest.fixture(scope="session")
def classifier_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A classifier with one output, on the same tokens; read it, never write into it."""
    from tiny import tiny_classifier

    return tiny_classifier(tmp_path_factory.mktemp("classifier"), tokenizer)


@pytest.fixture
def llama(llama_folder: Path) -> LanguageModel:
    """A fresh copy of the Llama for each test, in evaluation mode."""
    from tiny import language_model

    model = language_model(llama_folder)
    model.module.eval()
    return model


@pytest.fixture
def lora_llama(llama_folder: Path) -> LanguageModel:
    """The same with adapters that already do something: LoRA starts at zero, which would hide a mix-up."""
    import torch

    from tiny import language_model

    model = language_model(llama_folder, lora={"rank": 4, "alpha": 8.0})
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.module.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=noise))
    model.module.eval()
    return model
