"""Accordant aligns open language models with what people prefer.

Importing the package loads nothing heavy: torch and transformers come in when a stage runs.
"""

from importlib.metadata import version

__version__ = version("accordant")
