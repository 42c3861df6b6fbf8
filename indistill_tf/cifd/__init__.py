"""CIFD: rate-distortion modules between teacher and student."""
