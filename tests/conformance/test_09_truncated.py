"""9. A response that was cut is marked as such, and no end is forged for it."""

from __future__ import annotations

import torch

from accordant.models.language import LanguageModel
from tiny import sample, tilt


def test_a_model_that_never_stops_is_never_finished(llama: LanguageModel) -> None:
    stops = (2, 40)
    tilt(llama, stops, -1e9)
    rollout = sample(llama, stop_ids=stops)
    assert not rollout.finished.any()
    assert rollout.response_mask.all()
    assert not torch.isin(rollout.response_ids, torch.tensor(stops)).any()


def test_finished_says_whether_the_last_token_is_a_stop_id(llama: LanguageModel) -> None:
    stops = torch.arange(60)
    rollout = sample(llama, samples=12, new=6, stop_ids=stops.tolist())
    last = rollout.response_mask.sum(1) - 1
    ended = torch.isin(rollout.response_ids.gather(1, last[:, None]).squeeze(1), stops)
    assert torch.equal(rollout.finished, ended)
    assert 0 < int(ended.sum()) < len(ended), "both kinds are needed to tell them apart"
    assert bool((last[~ended] == 5).all()), "a response is cut at the limit and nowhere else"
