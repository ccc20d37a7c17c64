"""Data sets with a class for every pixel, boxes around objects or videos of them, behind one interface.

The data set adapter called ``camvid`` is the module ``patchprobe.datasets.adapters.camvid`` with ``ADAPTER = CamVid``
and ``ANNOTATIONS = ("label_maps",)`` in it (:mod:`patchprobe.datasets.annotations`). A new data set is a new module;
nothing else has to be edited. An adapter is built as ``ADAPTER(root, options)`` and raises ConfigError messages that begin with the option, such as ``options.images must be ...``.
"""

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from patchprobe.datasets import adapters
from patchprobe.datasets.annotations import adapter_names
from patchprobe.errors import ConfigError, DataError, suggestion
from patchprobe.files import folder_below


@dataclass(frozen=True)
class Record:
    """One labelled image: ``image`` and ``label`` are paths relative to the root of the data set.

    ``image_id`` is unique over all splits, such as ``train/0001TP_006780``. ``group`` is what a few-shot draw
    can be balanced over: a city, a scene, a video. ``label`` is the label map, or the file of boxes. With a ``window`` the
    record is that part of the image alone. ``ground_sample_distance`` is the side of a pixel on the ground, in metres, where
    the data set says it of each image.
    """

    image_id: str
    group: str
    image: Path
    label: Path
    window: "Window | None" = None
    ground_sample_distance: float | None = None


class Window(NamedTuple):
    """A part of an image, in px: its first row and column, and how many of both."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Classes:
    """The evaluated classes of a data set; ``names``, ``colors`` and ``supercategories`` go with ``ids``.

    ``void`` is the id of pixels without a class and is not among ``ids``. ``background`` is the id of pixels that belong to
    no object, where the data set has objects. All ids fit in uint8.
    """

    ids: tuple[int, ...]
    names: tuple[str, ...]
    void: int
    colors: tuple[tuple[int, int, int], ...]
    supercategories: tuple[str, ...] | None = None
    background: int | None = None

    def __post_init__(self) -> None:
        assert len(self.ids) == len(self.names) == len(self.colors) == len(set(self.ids)) == len(set(self.names))
        assert self.void not in self.ids and all(0 <= i <= 255 for i in (*self.ids, self.void))
        assert self.supercategories is None or len(self.supercategories) == len(self.ids)
        assert self.background is None or self.background in self.ids


class Dataset(Protocol):
    """What the workflow asks of a data set. All content goes through it, so files are not needed."""

    needs_root: bool
    """Whether records name files below a root folder; without one the adapter is built with ``root`` None."""
    classes: Classes
    counts: Mapping[str, int | None]
    """Images in each split of the complete data set; None where nobody says it."""

    def records(self, split: str) -> list[Record]:
        """Return the records of a split, sorted by ``image_id``; raises DataError where files are missing."""

    def read_image(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the image, uint8 (height, width, 3), RGB; raises DataError naming the file."""

    def read_label(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the label map, uint8 (height, width), ids of ``classes`` and void; raises DataError."""

    def digests(self, record: Record) -> tuple[str, str]:
        """Return the SHA-256 of the files of image and label, in hexadecimal."""


def open_dataset(entry: Mapping[str, Any], data_root: Path, *, name: str = "<name>") -> Dataset:
    """Open a data set from its config entry (keys ``adapter``, ``root`` and ``options``).

    ``root`` is relative to ``data_root``; adapters without files need none. ``name`` is the entry's key, for
    messages. Raises ConfigError for an unknown adapter or option and for a root that leads out of ``data_root``,
    DataError if the folder is missing.
    """
    adapter = _find_adapter(str(entry["adapter"]), name)
    root = None
    if adapter.needs_root:
        if not entry.get("root"):
            raise ConfigError(f"datasets.{name}.root is missing: set it to the folder of the data set in data_root")
        # Whole, since the messages of adapters name files below it.
        root = folder_below(f"datasets.{name}.root", str(entry["root"]), data_root).absolute()
        if not root.is_dir():
            found = "is not a folder" if root.exists() else "does not exist"
            raise DataError(
                f"the data set folder {root} {found}: put the data set there, or set datasets.{name}.root (now "
                f"{str(entry['root'])!r}) and data_root (now {str(data_root)!r}) so that together they name it"
            )
    elif entry.get("root"):
        raise ConfigError(
            f"datasets.{name}.root has no meaning with adapter {entry['adapter']}, which reads no files: remove it"
        )
    try:
        dataset: Dataset = adapter(root, entry.get("options") or {})
    except ConfigError as error:
        raise ConfigError(f"datasets.{name}.{error}") from None
    return dataset


def _find_adapter(adapter: str, name: str) -> Any:
    # The pattern keeps a config from naming any other module than one of this package.
    if re.fullmatch(r"[a-z0-9_]+", adapter):
        module_name = f"{adapters.__name__}.{adapter}"
        try:
            return importlib.import_module(module_name).ADAPTER
        except AttributeError:
            pass
        except ModuleNotFoundError as error:
            if error.name != module_name:
                raise
    known = adapter_names()
    hint = suggestion(adapter, known, f"known are {', '.join(known)}")
    raise ConfigError(f"datasets.{name}.adapter: there is no data set adapter {adapter!r}; {hint}")
