"""Exact nearest neighbours of patch tokens, at the speed of matrix products."""
