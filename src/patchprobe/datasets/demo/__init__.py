"""Drawn worlds with exact ground truth: seeded, without any file, in the layouts of real data sets."""
