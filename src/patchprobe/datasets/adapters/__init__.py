"""Layouts of data sets on disk, one module each, found by name."""
