"""Analyses: tokens in, tidy measurement rows out."""
