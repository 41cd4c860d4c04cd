"""All that owns weights: loading, the language and scalar models, the actor with its reference and critic, sampling,
the optimiser and checkpoints."""
