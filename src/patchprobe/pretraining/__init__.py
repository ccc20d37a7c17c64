"""Pretraining of one ViT by several objectives, on the same images and with the same network."""
