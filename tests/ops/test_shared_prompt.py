from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from accordant.ops.batching import pad_rows
from accordant.ops.shared_prompt import SharedRows, share_prompts

tokens = st.lists(st.integers(5, 60), min_size=1, max_size=4)


def joined(prompts: list[list[int]], answers: list[list[list[int]]], pad_id: int = 0) -> SharedRows:
    """The plain rows of `answers[n][k]` behind `prompts[n]`, all first answers before all second ones, then joined."""
    rows = [prompts[n] + group[k] for k in range(len(answers[0])) for n, group in enumerate(answers)]
    mask = pad_rows([[True] * len(row) for row in rows], False, dtype=torch.bool)
    return share_prompts(pad_rows(rows, pad_id), mask, torch.tensor([len(prompt) for prompt in prompts]))


@given(st.integers(1, 3).flatmap(lambda k: st.lists(st.tuples(tokens, st.tuples(*[tokens] * k)), min_size=1, max_size=3)))
def test_a_token_sees_its_prompt_and_its_own_answer_only(rows: list) -> None:
    shared = joined([row[0] for row in rows], [list(row[1]) for row in rows])
    allowed = shared.attention()
    for n, (prompt, group) in enumerate(rows):
        texts = [list(prompt), *map(list, group)]
        owner = [k for k, text in enumerate(texts) for _ in text]
        assert shared.ids[n, : len(owner)].tolist() == [token for text in texts for token in text]
        assert shared.segment[n].tolist() == owner + [-1] * (shared.ids.shape[1] - len(owner))
        for query, own in enumerate(owner):
            seen = [key for key in range(len(owner)) if allowed[n, 0, query, key]]
            assert seen == [key for key in range(query + 1) if owner[key] in (0, own)]
            place = query if own == 0 else len(prompt) + sum(1 for key in range(query) if owner[key] == own)
            assert int(shared.positions[n, query]) == place
        ends = [max(i for i, k in enumerate(owner) if k == answer) for answer in range(1, len(group) + 1)]
        assert shared.last[n].tolist() == ends
        assert not allowed[n, 0, : len(owner), len(owner) :].any()
        assert allowed[n, 0].any(dim=-1).all(), "a query that may look nowhere gives NaN"


def test_the_example_of_the_docstring() -> None:
    a, b, c, u, v, w, x, y, z = range(1, 10)
    shared = joined([[a, b], [c]], [[[x], [y, z]], [[u, v], [w]]])
    assert shared.ids.tolist() == [[a, b, x, y, z], [c, u, v, w, c]]  # any id does where there is padding
    assert shared.positions.tolist() == [[0, 1, 2, 2, 3], [0, 1, 2, 1, 0]]
    assert shared.segment.tolist() == [[0, 0, 1, 2, 2], [0, 1, 1, 2, -1]]
    assert shared.last.tolist() == [[2, 4], [2, 3]]


def test_what_cannot_be_joined_is_refused() -> None:
    ids, mask = torch.tensor([[1, 2, 3], [1, 4, 0]]), torch.tensor([[True, True, True], [True, True, False]])
    assert share_prompts(ids, mask, torch.tensor([1])).ids.tolist() == [[1, 2, 3, 4]]
    with pytest.raises(ValueError, match="2 rows are no multiple of 3 prompts"):
        share_prompts(ids, mask, torch.tensor([1, 1, 1]))
    for length in (0, 2):  # an empty prompt; an empty second answer
        with pytest.raises(ValueError, match="at least one token"):
            share_prompts(ids, mask, torch.tensor([length]))
    with pytest.raises(ValueError, match="begin with different tokens"):
        share_prompts(torch.tensor([[1, 2, 3], [9, 4, 0]]), mask, torch.tensor([1]))
    with pytest.raises(ValueError, match="must be a boolean mask"):
        share_prompts(ids, mask.long(), torch.tensor([1]))
    with pytest.raises(ValueError, match="equal shape"):
        share_prompts(ids, mask[:, :2], torch.tensor([1]))
