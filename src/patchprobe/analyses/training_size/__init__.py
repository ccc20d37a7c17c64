"""Patch classification from fewer training images: how much of a score is the amount of labels?"""
