"""Proof: how a policy changed, and whether a reward model can be trusted."""
