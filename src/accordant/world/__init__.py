"""The embedded world: a generated help-desk, its exact judge, and simulated labelers. Standard library only.

`lexicon` is the language, `text` writes prompts and answers, `judge` reads them, `labelers` rank them.
"""
