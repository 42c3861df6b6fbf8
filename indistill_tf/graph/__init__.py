"""Functional models: read, cut, pruned, widened."""
