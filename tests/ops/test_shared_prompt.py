from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from accordant.models.language import LanguageModel
from accordant.ops.shared_prompt import share_prompts

tokens = st.lists(st.integers(5, 60), min_size=1, max_size=4)


@given(st.lists(st.tuples(tokens, st.tuples(tokens, tokens)), min_size=1, max_size=3))
def test_a_token_sees_its_prompt_and_its_own_answer_only(rows: list) -> None:
    prompts, answers = [row[0] for row in rows], [row[1] for row in rows]
    shared = share_prompts(prompts, answers, pad_id=0)
    allowed = shared.attention()
    for n, (prompt, group) in enumerate(rows):
        texts = [list(prompt), *map(list, group)]
        owner = [k for k, text in enumerate(texts) for _ in text]
        assert shared.ids[n, : len(owner)].tolist() == [token for text in texts for token in text]
        for query, own in enumerate(owner):
            seen = [key for key in range(len(owner)) if allowed[n, 0, query, key]]
            assert seen == [key for key in range(query + 1) if owner[key] in (0, own)]
            place = query if own == 0 else len(prompt) + sum(1 for key in range(query) if owner[key] == own)
            assert int(shared.positions[n, query]) == place
        ends = [max(i for i, k in enumerate(owner) if k == answer) for answer in (1, 2)]
        assert shared.last[n].tolist() == ends
        assert not allowed[n, 0, : len(owner), len(owner) :].any()
        assert allowed[n, 0].any(dim=-1).all(), "a query that may look nowhere gives NaN"


def test_hidden_states_equal_those_of_rows_of_their_own(llama: LanguageModel) -> None:
    prompts, answers = [[11, 12, 13], [14]], [[[21, 22], [23]], [[24, 25, 26], [27, 28]]]
    shared = share_prompts(prompts, answers, pad_id=3)
    allowed = shared.attention()
    bias = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    with torch.no_grad():
        states = llama.trunk(input_ids=shared.ids, position_ids=shared.positions, attention_mask=bias).last_hidden_state
        for n, prompt in enumerate(prompts):
            for k, answer in enumerate(answers[n]):
                row = torch.tensor([prompt + answer])
                alone = llama.hidden(row, torch.ones_like(row, dtype=torch.bool))[0, -1]
                torch.testing.assert_close(states[n, shared.last[n, k]], alone, atol=1e-5, rtol=1e-4)


def test_unequal_groups_and_empty_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="equally many"):
        share_prompts([[1], [2]], [[[3]], [[4], [5]]], 0)
    with pytest.raises(ValueError, match="at least one token"):
        share_prompts([[1]], [[[3], []]], 0)
    with pytest.raises(ValueError, match="at least one token"):
        share_prompts([[]], [[[3]]], 0)
