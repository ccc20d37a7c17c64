"""Kinds of corruptions: kind ``band-noise`` is ``band_noise.py``, whose ``CORRUPTION`` is its class."""
