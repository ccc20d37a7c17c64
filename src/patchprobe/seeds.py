"""Random generators that depend on what they are for and on nothing else."""

import hashlib
import json

import numpy as np


def generator(*key: int | float | str) -> np.random.Generator:
    """Return the generator that belongs to a key, for example ``(seed, "noise", 25.0, image_id)``.

    The same key gives the same numbers on every machine and in every order of calls; different keys give
    independent streams (the SHA-256 of the key seeds a ``SeedSequence``).
    """
    digest = hashlib.sha256(json.dumps(key).encode()).digest()
    return np.random.default_rng(np.random.SeedSequence(int.from_bytes(digest, "little")))
