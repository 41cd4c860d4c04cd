"""The policy, its frozen reference and its critic.

With full fine-tuning the reference is a frozen copy (bfloat16 where that is the run's arithmetic); with LoRA it is the base
with the adapter off, so one base model serves both. Either way it is the model that the stage started from: the SFT model. The
critic is a linear head on the policy's trunk that starts at zero.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from accordant.models.critic import Critic, ValueHead
from accordant.models.language import LanguageModel
from accordant.types import ActorCriticOut, ActorOut, Rollout


class Actor:
    """Policy, reference and (for algorithms that need one) value head, seen through rollouts.

    Dropout is off throughout online training: the ratio of a token must come from the same network twice.
    """

    def __init__(self, policy: LanguageModel, with_value: bool, critic: Critic | None = None) -> None:
        self.policy = policy
        policy.module.eval()
        self.adapters = hasattr(policy.module, "peft_config")
        self._frozen = None if self.adapters else _frozen_copy(policy)
        device = next(policy.module.parameters()).device
        own = ValueHead(policy.config.hidden_size).to(device) if with_value and critic is None else None
        self.critic: Critic | ValueHead | None = (critic or own) if with_value else None

    def parameters(self) -> dict[str, nn.Parameter]:
        """Everything that is trained, by name."""
        named = {f"policy.{n}": p for n, p in self.policy.module.named_parameters() if p.requires_grad}
        if self.critic is not None:
            named |= {f"value.{n}": p for n, p in self.critic.named_parameters() if p.requires_grad}
        return named

    def forward(self, rollout: Rollout, temperature: float, *, critic_only: bool = False) -> ActorOut | ActorCriticOut:
        """The policy's view of a micro-batch; every tensor (B, T).

        `critic_only` detaches the trunk, so that warming up the critic leaves the policy bit-identical.
        """
        start = rollout.prompt_length
        with torch.set_grad_enabled(torch.is_grad_enabled() and not critic_only):
            hidden = self.policy.hidden(rollout.ids, rollout.mask)
            target = rollout.mask.clone()
            target[:, :start] = False
            logp, entropy = self.policy.logp(rollout.ids, rollout.mask, target, temperature, hidden)
        logp, entropy = logp[:, start:], entropy[:, start:]
        if self.critic is None:
            return ActorOut(logp, entropy)
        # V(s_t) is read where the policy chose a_t: at the token before it.
        value = self.critic(hidden, rollout.ids, rollout.mask)[:, start - 1 : -1]
        return ActorCriticOut(logp, entropy, torch.where(rollout.response_mask, value, torch.zeros_like(value)))

    @torch.no_grad()
    def reference_logp(self, rollout: Rollout, temperature: float) -> Tensor:
        """The frozen reference's log-probabilities of the response, (B, T)."""
        target = rollout.mask.clone()
        target[:, : rollout.prompt_length] = False
        with self.reference() as model:
            logp, _ = model.logp(rollout.ids, rollout.mask, target, temperature)
        return logp[:, rollout.prompt_length :]

    @contextmanager
    def reference(self) -> Iterator[LanguageModel]:
        """The reference model; on leaving, also by an exception, the policy's adapter is active again."""
        if self._frozen is not None:
            yield self._frozen
            return
        with self.policy.module.disable_adapter():  # type: ignore[operator]
            yield self.policy

    def reference_hash(self) -> str:
        """A fingerprint of the reference's weights: it never changes during a run."""
        digest = hashlib.sha256()
        module = self._frozen.module if self._frozen is not None else self.policy.module
        for name, tensor in sorted(module.state_dict().items()):
            if "lora_" not in name:
                digest.update(name.encode() + tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def _frozen_copy(policy: LanguageModel) -> LanguageModel:
    module = copy.deepcopy(policy.module).requires_grad_(False).eval()
    if policy.precision == "bfloat16":
        module = module.to(torch.bfloat16)
    return LanguageModel(module, policy.tokenizer, policy.precision)
