"""Sets of images, in memory or in their files."""
