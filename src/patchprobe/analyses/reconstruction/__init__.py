"""Reconstruction: what does a masked-image model's own decoder make of tokens in which features are zero (table 4 of the paper)?"""
