"""43. The score is read at the last real token: with padding left, right or none, and with pad equal to EOS."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

from accordant.models.shared import WAYS, shared_logits
from tiny import random_prompts, scalar_model, tiny_classifier

EOS = 2


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "opt", "qwen2", "bloom"])
@pytest.mark.parametrize("pad", [3, EOS], ids=["own pad", "pad is eos"])
def test_padding_does_not_move_it(family: str, pad: int, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    folder = tiny_classifier(tmp_path, tokenizer, family)
    model = scalar_model(folder)
    model.module.eval()
    theirs = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    rows = [[*row, EOS] for row in random_prompts((3, 6, 5), len(tokenizer))]
    width = max(map(len, rows)) + 2
    with torch.no_grad():
        alone = torch.stack([theirs(input_ids=torch.tensor([row])).logits[0] for row in rows])
        for left in (False, True):
            fill = [[pad] * (width - len(row)) for row in rows]
            ids = torch.tensor([f + r if left else r + f for f, r in zip(fill, rows, strict=True)])
            off = [[False] * len(f) for f in fill]
            on = [[True] * len(r) for r in rows]
            mask = torch.tensor([f + r if left else r + f for f, r in zip(off, on, strict=True)])
            torch.testing.assert_close(model.logits(ids, mask), alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pad", [3, EOS], ids=["own pad", "pad is eos"])
def test_of_several_answers_each_is_read_at_its_own(
    pad: int, way: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    """In a row that they share, where the last token of one is followed by the first of the next."""
    folder = tiny_classifier(tmp_path, tokenizer, labels=2)
    model = scalar_model(folder)
    model.module.eval()
    model.sharing = way
    theirs = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    prompt, *answers = random_prompts((4, 3, 6, 1), len(tokenizer))
    rows = [[*prompt, *answer, EOS] for answer in answers]
    width = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    mask = torch.tensor([[True] * len(row) + [False] * (width - len(row)) for row in rows])
    with torch.no_grad():
        found = shared_logits(model, ids, mask, torch.tensor([len(prompt)]))
        expected = torch.cat([theirs(input_ids=torch.tensor([row])).logits for row in rows])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
