"""Sets of images with texts, and batches of pairs."""
