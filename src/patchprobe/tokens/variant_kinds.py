"""Transforms of variants by what they do and what they are fitted on; imports nothing, since declarations read it."""

DIRECTIONS = frozenset({"top-components", "position", "position-planes"})
"""Directions that ``drop-`` takes out of tokens, and that ``keep-`` alone leaves."""
OF_BLACK = frozenset({"drop-position", "keep-position"})
"""Those that are fitted on the tokens of a black image."""
OF_PLACES = frozenset({"drop-position-planes", "keep-position-planes", "drop-position-mean"})
"""Those that need to know where on the grid of patches tokens lie."""


def taken_by(removals: "list[str]") -> "list[str]":
    """Return what removals take, such as ``top-variance`` of ``drop-top-variance``."""
    return [name.removeprefix("drop-") for name in removals]
