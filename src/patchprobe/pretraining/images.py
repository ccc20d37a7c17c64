"""The images that objectives learn from: all of one size, in one store, with classes where there are some.

Where they come from is a source, the module ``pretraining/<name>_source.py`` with ``SOURCE``: generated street scenes
(``scenes``) or a user's folder (``folder``).
"""

import importlib
import multiprocessing
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from patchprobe.progress import Progress
from patchprobe.stores.build import Build
from patchprobe.stores.file_list import read_manifest
from patchprobe.stores.reading import open_store

NO_CLASS = 255
# Images in a chunk of the store, and in a unit of work.
_PER_CHUNK = 16


class ImageSource(Protocol):
    """Images by number; picklable, because several processes read from it.

    ``class_names`` is empty without classes. ``labelled`` says that images have label maps.
    """

    count: int
    size: tuple[int, int]
    class_names: tuple[str, ...]
    labelled: bool

    def read(self, number: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Return image ``number``, uint8 (rows, columns, 3) of ``size``, and its labels.

        Labels are class indices, 255 for none: a map (rows, columns), or one number (shape ()) if not ``labelled``.
        """
        ...


@dataclass(frozen=True)
class Images:
    """The images of a store, in memory: uint8 (N, rows, columns, 3).

    ``labels`` is uint8 (N, rows, columns) of class indices, or (N,) where an image has one class; 255 is none.
    ``sha256`` is the checksum of the store's content.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    class_names: tuple[str, ...]
    sha256: str


def open_source(options: Mapping[str, Any], *, data_root: Path, seed: int) -> ImageSource:
    """Return the source that ``pretraining.images`` asks for; raises ConfigError or DataError."""
    name = "scenes" if options["folder"] is None else "folder"
    module = importlib.import_module(f"{__name__.rpartition('.')[0]}.{name}_source")
    source: ImageSource = module.SOURCE(options, data_root=data_root, seed=seed)
    return source


def write_images(build: Build, source: ImageSource, *, processes: int) -> None:
    """Write all images of a source into a store under construction, read by several processes.

    Writes ``image`` uint8 (image, y, x, channel) and ``label`` uint8 (image, y, x) or (image,).
    """
    rows, columns = source.size
    n = source.count
    shape = (n, rows, columns)
    images = build.array("image", (*shape, 3), (_PER_CHUNK, rows, columns, 3), np.uint8, ("image", "y", "x", "channel"))
    inner = ("y", "x") if source.labelled else ()
    label_shape = shape if source.labelled else (n,)
    label_chunks = (_PER_CHUNK, *label_shape[1:])
    labels = build.array("label", label_shape, label_chunks, np.uint8, ("image", *inner), compress=True)
    build.attributes(class_names=list(source.class_names))
    bounds = [(start, min(start + _PER_CHUNK, n)) for start in range(0, n, _PER_CHUNK)]
    units = {f"images {start}-{stop}": (start, stop) for start, stop in bounds}
    pending = build.pending(list(units))
    left = sum(stop - start for start, stop in (units[unit] for unit in pending))
    # Forked, because the main module of a job cannot be imported again.
    context = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(processes, mp_context=context) as workers,
        Progress(total=n, initial=n - left, desc="images", unit="image", file=sys.stderr) as progress,
    ):
        read = workers.map(_read, ((source, *units[unit]) for unit in pending))
        for unit, (pixels, ids) in zip(pending, read, strict=True):
            place = slice(*units[unit])
            images[place], labels[place] = pixels, ids
            build.finish(unit)
            progress.update(len(pixels))


def read_images(store: Path) -> Images:
    """Read a finished store into memory; raises StoreError."""
    data = open_store(store)
    print(f"reading {data.sizes['image']} images into memory", file=sys.stderr)
    return Images(
        images=data["image"].to_numpy(),
        labels=data["label"].to_numpy(),
        class_names=tuple(data.attrs["class_names"]),
        sha256=str(read_manifest(store)["sha256"]),
    )


def _read(task: tuple[ImageSource, int, int]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    source, start, stop = task
    images, labels = zip(*(source.read(number) for number in range(start, stop)), strict=True)
    return np.stack(images), np.stack(labels)
