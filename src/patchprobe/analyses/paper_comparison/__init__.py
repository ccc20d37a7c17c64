"""Scores of a run beside those that the paper prints (arXiv 2401.00463)."""
