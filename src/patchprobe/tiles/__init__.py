"""Tiles of images, their labels and the patches in them."""
