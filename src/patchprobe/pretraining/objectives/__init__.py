"""Objectives of pretraining, one module each, found by name."""
