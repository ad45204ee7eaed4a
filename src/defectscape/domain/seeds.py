"""Seeds derived per item by hashing, so that adding an item changes no other item."""

import hashlib

import numpy as np


def derive_seed(study_seed: int, *parts: object) -> int:
    """A 32-bit seed for the item named by ``parts`` (their text), reproducible anywhere."""
    text = "\x1f".join([str(study_seed), *(str(part) for part in parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def derive_rng(study_seed: int, *parts: object) -> np.random.Generator:
    """A generator for the item named by ``parts``."""
    return np.random.default_rng(derive_seed(study_seed, *parts))
