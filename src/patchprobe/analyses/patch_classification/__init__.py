"""Patch classification by 1-NN and by a linear probe: how good are the local features? (arXiv 2401.00463, section 4)"""
