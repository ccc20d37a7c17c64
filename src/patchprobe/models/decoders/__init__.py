"""Decoders of masked-image models."""
