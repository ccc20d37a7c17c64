"""Labelled zarr stores that are whole or absent, and say what they were made from."""
