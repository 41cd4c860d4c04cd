from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

from accordant.models.scalar import ScalarModel
from tiny import random_prompts, scalar_model, tiny_classifier


def test_an_encoder_pools_as_it_was_built_to(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    folder = tiny_classifier(tmp_path, tokenizer, "bert", labels=2)
    model = scalar_model(folder)
    model.module.eval()
    assert not model.causal
    theirs = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    short, long = random_prompts((4, 7), len(tokenizer))
    ids = torch.tensor([short + [3] * 3, long])
    mask = torch.tensor([[True] * 4 + [False] * 3, [True] * 7])
    with torch.no_grad():
        ours = model.logits(ids, mask)
        expected = torch.cat([theirs(input_ids=torch.tensor([row])).logits for row in (short, long)])
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_labels_are_named(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    assert scalar_model(tiny_classifier(tmp_path, tokenizer, labels=2)).labels == {0: "LABEL_0", 1: "LABEL_1"}


def test_several_positions_of_one_row(llama_folder: Path) -> None:
    """Where answers share a prompt, each is read at its own last token."""
    model: ScalarModel = scalar_model(llama_folder)
    model.module.eval()
    hidden = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0))
    scores = model.score_at(hidden, torch.tensor([[4, 1], [0, 2]]))
    assert scores.shape == (2, 2, 1)
    head = model.module.score.weight.detach()[0]
    expected = torch.stack([hidden[0, [4, 1]] @ head, hidden[1, [0, 2]] @ head])
    torch.testing.assert_close(scores.detach().squeeze(-1), expected)


def test_gradients_reach_head_and_adapters(llama_folder: Path) -> None:
    model = scalar_model(llama_folder, lora={"rank": 2})
    ids = torch.tensor(random_prompts((5, 5), 400))
    model.logits(ids, torch.ones_like(ids, dtype=torch.bool)).sum().backward()
    trained = {name: p.grad for name, p in model.module.named_parameters() if p.requires_grad}
    assert any("score" in name for name in trained)
    assert any("lora_B" in name for name in trained)
    assert all(grad is not None for grad in trained.values())
