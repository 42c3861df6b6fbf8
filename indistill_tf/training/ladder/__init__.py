"""A finished student, compressed step by step and measured as it ships."""
