"""Paired differences between models: is one better than another on the same resamples of images?"""
