"""Frozen Vision Transformers: one interface, whatever they were released as."""
