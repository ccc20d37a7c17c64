"""Data sets whose images and label maps are files below one folder."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.datasets.dataset import Classes, Record
from patchprobe.datasets.label_maps import read_ids
from patchprobe.datasets.pictures import read_rgb
from patchprobe.errors import ConfigError, printable
from patchprobe.files import file_sha256

_log = logging.getLogger(__name__)


class FileDataset:
    """Base of the adapters whose images and label maps are files below one folder."""

    needs_root = True
    classes: Classes
    usual: tuple[str, ...] = ()
    """Names of classes, and ``void``, that no :data:`patchprobe.datasets.index.MANY` official images lack altogether."""
    mistaken: str = ""
    """What label maps without them may be."""

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        if options:
            raise ConfigError(f"options.{min(options)}: this adapter has no options; remove it")
        self.root = root
        self._said: set[str] = set()

    def read_image(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the image, uint8 (height, width, 3), RGB."""
        return read_rgb(self.root / record.image, notice=self.notice)

    def read_label(self, record: Record) -> npt.NDArray[np.uint8]:
        """Return the label map, uint8 (height, width)."""
        colors = dict(zip(self.classes.colors, self.classes.ids, strict=True))
        return self.read_ids(record, (*self.classes.ids, self.classes.void), colors)

    def read_ids(
        self, record: Record, known: Collection[int], colors: Mapping[tuple[int, int, int], int] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Return the numbers in a label map, uint8 (height, width); ``known`` are those that it can hold, ``colors`` the
        numbers of official colours. See :func:`patchprobe.datasets.label_maps.read_ids`."""
        return read_ids(self.root / record.label, known=known, colors=colors, notice=self.notice)

    def digests(self, record: Record) -> tuple[str, str]:
        """Return the SHA-256 of the image file and of the label file."""
        return file_sha256(self.root / record.image), file_sha256(self.root / record.label)

    def notice(self, kind: str, text: str) -> None:
        """Log something once for the whole data set."""
        if kind not in self._said:
            self._said.add(kind)
            _log.warning("%s; said once, others may be the same", printable(text))
