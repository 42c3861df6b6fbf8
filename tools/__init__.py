"""Command-line tools of indistill_tf."""
