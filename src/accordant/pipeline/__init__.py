"""Runs: what a pipeline consists of, carrying it out, keeping it, and reporting on it."""
