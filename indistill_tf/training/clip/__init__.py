"""Pairs of an image and a text tower, trained together."""
