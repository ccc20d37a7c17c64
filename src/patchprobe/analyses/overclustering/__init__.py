"""Overclustering: do clusters of patch tokens, which nobody has labelled, follow classes, and does removal repair them (NeCo, Leopart)?"""
