"""Trained networks from files, and weights back into them."""
