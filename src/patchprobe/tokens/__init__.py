"""Patch tokens: extracted, read with their labels, and transformed."""
