"""patchprobe: how well do the local (patch-level) features of frozen Vision Transformers work?"""
