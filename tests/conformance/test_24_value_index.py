"""24. V(s_t) is read at the token before action t, shown by a trunk whose hidden state is the token's own id."""

from __future__ import annotations

import torch

from accordant.models.actor import Actor
from accordant.models.language import LanguageModel
from tiny import WIDTH, sample


def test_the_value_of_an_action_is_read_one_token_before_it(llama: LanguageModel) -> None:
    rollout = sample(llama)
    actor = Actor(llama, with_value=True)

    def lookup(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states = torch.zeros(*mask.shape, WIDTH)
        states[..., 0] = ids.float()
        return states

    llama.hidden = lookup  # type: ignore[method-assign]
    assert actor.critic is not None
    with torch.no_grad():
        actor.critic.linear.weight[0, 0] = 1.0
        value = actor.forward(rollout, 1.0).value
    for b, row in enumerate(rollout.ids.tolist()):
        for t in range(int(rollout.response_mask[b].sum())):
            assert float(value[b, t]) == row[rollout.prompt_length + t - 1]
    assert float(value[~rollout.response_mask].abs().sum()) == 0.0
