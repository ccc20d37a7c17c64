"""The variance of every feature over training patches: do a few features dominate distances (arXiv 2401.00463)?"""
