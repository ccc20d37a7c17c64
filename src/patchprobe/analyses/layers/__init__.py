"""Patch classification from every block: where in the network do patches become separable (arXiv 2401.00463)?"""
