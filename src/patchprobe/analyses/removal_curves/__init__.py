"""Patch classification without features, directions, lengths or places: which of them does the harm that high variance does?"""
