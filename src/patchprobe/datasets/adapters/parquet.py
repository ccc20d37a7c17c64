"""Data sets of Hugging Face ``datasets`` with an image and its label map in each row, as folders of parquet files.

A column of pictures (feature ``Image``) is a struct of ``bytes`` and ``path``; columns of bytes alone are read too. Files are
called ``data/<split>-00000-of-00003.parquet`` by ``push_to_hub``, and ``default/<split>/0000.parquet`` by the hub's own
conversion. Rows are read by row group.
"""

import hashlib
import re
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from patchprobe.datasets.dataset import Record
from patchprobe.datasets.described import DescribedDataset
from patchprobe.datasets.image_classes import WHOLE
from patchprobe.datasets.patterns import SPLIT, Found, Pattern
from patchprobe.datasets.pictures import Content
from patchprobe.errors import ConfigError, DataError

FILES = "data/{split}-*.parquet"
# What records call the two pictures of a row, whatever the columns are called.
_IMAGE, _LABEL_MAP = "image", "label_map"
_KEPT = 4  # columns of row groups, of about 100 rows each


class Parquet(DescribedDataset):
    """Images and label maps in the rows of parquet files.

    Options: ``files``, a pattern below the root (:mod:`patchprobe.datasets.patterns`); ``image`` and ``label_map``, the columns of
    pictures, and ``group``, that of what images belong to; and those of :class:`patchprobe.datasets.described.DescribedDataset`.
    A record is called ``<what stands for the wildcards>/<6 digits>``, by the number of its row in its file, from 0.
    """

    own_options = ("files", "image", "label_map", "group")

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        super().__init__(root, options)
        self._pattern = Pattern("options.files", options.get("files", FILES), {".parquet"})
        self._columns = {_IMAGE: options.get("image", "image"), _LABEL_MAP: options.get("label_map")}
        self._group = options.get("group")
        for key, column in (*self._columns.items(), *([("group", self._group)] if self._group is not None else [])):
            if not isinstance(column, str) or not column:
                raise ConfigError(f"options.{key} is {column!r}: set it to the name of a column of the parquet files")
        if self._lists:
            raise ConfigError(
                "options.splits has names of files, and rows have no names: give shares, {train: 0.7, val: 0.3}"
            )
        if SPLIT in self._pattern.wildcards and self._shares:
            raise ConfigError(
                f"options.splits has no meaning with {{split}} in options.files ({self._pattern.text}): remove it, or put one of "
                "the splits in the place of {split}"
            )
        self._lock = threading.Lock()
        self._read: OrderedDict[tuple[Path, int, str], pa.ChunkedArray] = OrderedDict()
        self._starts: dict[Path, list[int]] = {}

    @cached_property
    def counts(self) -> Mapping[str, int | None]:
        """The splits that there are; nothing says how many images they should have."""
        if SPLIT in self._pattern.wildcards:
            return dict.fromkeys(sorted({found.texts[SPLIT] for found in self._files}))
        return dict.fromkeys(self._shares or [WHOLE])

    def records(self, split: str) -> list[Record]:
        """Return the rows of a split, sorted by ``image_id``; raises DataError for files and columns that are not as described."""
        if split not in self.counts:
            raise DataError(f"{self.root} has no split {split!r}: take one of {', '.join(self.counts)}")
        by_split = SPLIT in self._pattern.wildcards
        files = [found for found in self._files if not by_split or found.texts[SPLIT] == split]
        records = sorted((r for found in files for r in self._rows(found)), key=lambda record: record.image_id)
        return records if by_split else self._shared_out(records, split)

    def picture(self, path: Path) -> Content:
        """Return the picture of a row; raises DataError if there is none."""
        file, row, column = path.parents[1], int(path.parent.name), self._columns[path.name]
        name = f"{self.root / file}, row {row}, column {column}"
        value = self._value(file, row, column)
        stored = value.get("bytes") if isinstance(value, dict) else value
        if stored:
            return Content(name, stored)
        if isinstance(value, dict) and value.get("path"):
            raise DataError(
                f"{name} holds the path {value['path']} and no picture: save the data set with its pictures in it "
                "(embed_external_files)"
            )
        raise DataError(f"{name} is empty: remove the row, or add its picture")

    def digests(self, record: Record) -> tuple[str, str]:
        """Return the SHA-256 of the two pictures of a row."""
        image, label = (hashlib.sha256(self.picture(path).content) for path in (record.image, record.label))
        return image.hexdigest(), label.hexdigest()

    @cached_property
    def _files(self) -> list[Found]:
        if arrow := sorted(self.root.glob("**/*.arrow"))[:1]:
            raise DataError(
                f"{arrow[0]} was written by save_to_disk, and parquet is read: save the data set by to_parquet"
            )
        found = self._pattern.find(self.root, self.notice)
        there = defaultdict(list)
        for file in found:
            if match := re.fullmatch(r"(.*)-\d+-of-(\d+)\.parquet", file.path.as_posix(), re.IGNORECASE):
                there[match[1], int(match[2])].append(file)
        for (name, whole), own in there.items():
            if len(own) < whole:
                self.notice(f"files of {name}", f"of {self.root / name} {len(own)} of {whole} files are there")
        return found

    def _rows(self, found: Found) -> Iterator[Record]:
        """Yield a record for each row of a file."""
        with _opened(self.root / found.path) as file:
            self._check_columns(self.root / found.path, file.schema_arrow)
            groups = None
            if self._group is not None:
                groups = file.read(columns=[self._group]).column(0).to_pylist()
                if None in groups:
                    raise DataError(
                        f"{self.root / found.path}, row {groups.index(None)} has nothing in column {self._group}: complete it, or "
                        "set options.group of the data set to null"
                    )
            for row in range(file.metadata.num_rows):
                name, place = f"{found.name}/{row:06d}", found.path / f"{row:06d}"
                yield Record(name, name if groups is None else str(groups[row]), place / _IMAGE, place / _LABEL_MAP)

    def _check_columns(self, path: Path, schema: pa.Schema) -> None:
        wanted = {f"options.{key}": column for key, column in self._columns.items()}
        if self._group is not None:
            wanted["options.group"] = self._group
        for key, column in wanted.items():
            if column not in schema.names:
                raise DataError(
                    f"{path} has no column {column}: set {key} of the data set to one of {', '.join(schema.names)}"
                )
        for key in self._columns:
            kind = schema.field(self._columns[key]).type
            inside = (
                kind.field("bytes").type if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else kind
            )
            if not (pa.types.is_binary(inside) or pa.types.is_large_binary(inside)):
                raise DataError(
                    f"{path}: column {self._columns[key]} is of type {kind} and holds no pictures: set options.{key} of the data "
                    f"set to a column of the feature Image, of {', '.join(schema.names)}"
                )

    def _value(self, file: Path, row: int, column: str) -> Any:
        """Return what a row has in a column; the row group around it is kept for its other rows."""
        with self._lock:  # so that threads do not read one group many times
            if file not in self._starts:
                with _opened(self.root / file) as parquet:
                    sizes = [parquet.metadata.row_group(i).num_rows for i in range(parquet.metadata.num_row_groups)]
                self._starts[file] = np.cumsum([0, *sizes]).tolist()
            starts = self._starts[file]
            if row >= starts[-1]:
                raise DataError(
                    f"{self.root / file} has {starts[-1]} rows and no row {row}: restore the file, or run again"
                )
            group = int(np.searchsorted(starts, row, side="right")) - 1
            key = (file, group, column)
            if key not in self._read:
                with _opened(self.root / file) as parquet:
                    self._read[key] = parquet.read_row_group(group, columns=[column]).column(0)
                while len(self._read) > _KEPT:
                    self._read.popitem(last=False)
            return self._read[key][row - starts[group]].as_py()


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except FileNotFoundError:
        raise DataError(f"{path} is missing; copy it there from the original data set") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as parquet ({error}); copy it again from the original data set"
        ) from error


ADAPTER = Parquet
ANNOTATIONS = ("label_maps",)
LEVELS = 3
