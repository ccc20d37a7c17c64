"""What the images of a data set are annotated with, as its adapter says, known without importing it.

The adapter's module has ``ANNOTATIONS``, a tuple of names among :data:`KINDS`, written out.
"""

from functools import cache
from pathlib import Path

from patchprobe.datasets import adapters
from patchprobe.errors import ConfigError, PatchprobeError, suggestion
from patchprobe.files import constant

_FOLDER = Path(adapters.__file__).parent

LABEL_MAPS, BOXES, IDENTITIES, IMAGE_CLASSES = "label_maps", "boxes", "identities", "image_classes"
KINDS = (LABEL_MAPS, BOXES, IDENTITIES, IMAGE_CLASSES, "key_points")
"""A class for every pixel; boxes around objects; which object of one image is which of another; a class for every
image; named points of objects."""

DRAWS = ("images", "per_group", "per_class", "tiles_per_class", "videos")
"""The keys of a split that say how many images, tiles or videos are drawn, and by what; tiles need boxes, videos identities."""


def annotations(adapter: str, dataset: str = "<name>") -> frozenset[str]:
    """Return what the data sets of an adapter are annotated with.

    ``dataset`` is the entry's key in the configuration, for messages. Raises ConfigError for an unknown adapter,
    PatchprobeError for one that does not say it.
    """
    known = adapter_names()
    if adapter not in known:
        hint = suggestion(adapter, known, f"known are {', '.join(known)}")
        raise ConfigError(f"datasets.{dataset}.adapter: there is no data set adapter {adapter!r}; {hint}")
    return _declared(_FOLDER / f"{adapter}.py")


@cache
def says_ground_sample_distance(adapter: str) -> bool:
    """Return whether images of an adapter's data sets can say how large a pixel of theirs is on the ground.

    Its module has ``GROUND_SAMPLE_DISTANCES = True`` then.
    """
    return adapter in adapter_names() and bool(constant(_FOLDER / f"{adapter}.py", "GROUND_SAMPLE_DISTANCES"))


@cache
def adapter_names() -> tuple[str, ...]:
    """Return the names of all adapters."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("[a-z]*.py")))


@cache
def _declared(module: Path) -> frozenset[str]:
    found = constant(module, "ANNOTATIONS")
    if isinstance(found, tuple) and found and set(found) <= set(KINDS):
        return frozenset(found)
    said = "does not say" if found is None else f"says {found!r} in place of"
    raise PatchprobeError(
        f"{module} {said} what its images are annotated with: add a line such as ANNOTATIONS = "
        f"({LABEL_MAPS!r},), of {', '.join(KINDS)}"
    )
