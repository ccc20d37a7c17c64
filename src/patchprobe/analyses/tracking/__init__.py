"""Tracking: does an object's feature vector find the same object some frames later, among all objects of that frame (arXiv 2401.00463)?"""
