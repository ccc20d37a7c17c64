"""Sheets of example tiles: what do models see, and what do they make of it?"""
