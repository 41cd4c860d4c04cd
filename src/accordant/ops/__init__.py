"""Pure tensor functions: arguments in, tensors out. No config, no model, no file.

Every public function checks ranks and shapes at the door, so that a mistake fails loudly instead of broadcasting.
"""
