"""Patch retrieval: does a patch of a moved, blurred or noisy tile find itself again among all patches?"""
