"""Runs of the workflow that are disturbed on purpose, and what has to come out of them.

``cases`` has the configurations and their changes, ``runs`` starts runs and finds their processes, ``kinds`` has the
disturbances, ``powercut`` plays a power cut, ``comparison`` compares results, ``trials`` makes one disturbed run from its
start to its verdict, ``failures`` lets jobs of given rules fail. ``hook`` is loaded into every Python process of a
disturbed run.
"""
