"""Patch classification on whole images beside tiles: does more context help?"""
