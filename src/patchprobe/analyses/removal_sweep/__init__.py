"""Patch classification without the features of highest variance: what do those features cost a k-NN (arXiv 2401.00463)?"""
