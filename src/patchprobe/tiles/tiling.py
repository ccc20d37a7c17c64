"""Square tiles that cover every image, and the stores of tiles and labels.

An image of height H and width W is cut into ceil(H / size) x ceil(W / size) tiles of size x size pixels,
evenly spread, so that every pixel is covered and tiles overlap as little as possible; nothing is squashed
(unless all images are first resized to one size). Each tile is then resized to the input size of the models.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image
from tqdm import tqdm

from patchprobe.datasets.dataset import Dataset, Record
from patchprobe.datasets.index import index_records
from patchprobe.errors import ConfigError, DataError
from patchprobe.stores.build import Build

if TYPE_CHECKING:  # not needed to run, so that clean tiles do not depend on how images are corrupted
    from patchprobe.corruptions.corruption import Corruption
    from patchprobe.corruptions.geometric import Geometric

UInt8 = npt.NDArray[np.uint8]

_CHUNK_TILES = 32
_CHUNK_PIXELS = _CHUNK_TILES * 512 * 512  # fewer than 32 tiles in a chunk where they are larger, such as full images
_INTERPOLATIONS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


@dataclass(frozen=True)
class Tiling:
    """How images become tiles: ``size`` pixels of the image, resized to ``resize`` pixels.

    Both are a side, or (rows, columns) of tiles that are not square. With ``image_size`` (rows, columns) every image is
    resized to that before it is cut, whatever its shape.
    """

    size: int | tuple[int, int]
    resize: int | tuple[int, int]
    interpolation: str = "bicubic"
    image_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for key, sides in (("size", self.cut), ("resize", self.stored)):
            if any(isinstance(side, bool) or not isinstance(side, int) or side < 1 for side in sides):
                raise ConfigError(
                    f"tiling.{key} is {getattr(self, key)!r}; set it to a whole number of pixels from 1 on"
                )
        if self.interpolation not in _INTERPOLATIONS:
            known = " or ".join(_INTERPOLATIONS)
            raise ConfigError(f"tiling.interpolation is {self.interpolation!r}; set it to {known}")
        if self.image_size is not None:
            object.__setattr__(self, "image_size", tuple(self.image_size))  # a list in the configuration
            if len(self.image_size) != 2 or any(map(int.__lt__, self.image_size, self.cut)):
                raise ConfigError(
                    f"tiling.image_size is {list(self.image_size)}; set it to [rows, columns] that hold a tile of "
                    f"tiling.size, {self.size} pixels"
                )

    @property
    def cut(self) -> tuple[int, int]:
        """Rows and columns of a tile in the image as it is cut, px."""
        return _pair(self.size)

    @property
    def stored(self) -> tuple[int, int]:
        """Rows and columns of a tile as it is stored, px."""
        return _pair(self.resize)

    def whole(self, index: pd.DataFrame) -> "Tiling":
        """Return the tiling of one tile for each image of an images table: the full image at the scale of these tiles.

        The stored size is rounded to whole pixels. Raises DataError if the images differ in size and are not resized to
        one.
        """
        found = {
            self.image_size or size for size in zip(index["height"].tolist(), index["width"].tolist(), strict=True)
        }
        if len(found) != 1:
            raise DataError(
                f"the images have {len(found)} sizes, and full images need one: set tiling.image_size of the data set, "
                "or name other data sets in full_images.datasets"
            )
        (size,) = found
        rows, columns = (
            max(1, round(side * stored / cut)) for side, stored, cut in zip(size, self.stored, self.cut, strict=True)
        )
        return replace(self, size=size, resize=(rows, columns))

    def offsets(self, length: int, axis: int = 0) -> list[int]:
        """Return where the tiles along one side of ``length`` pixels start; raises DataError if none fits.

        ``axis`` is 0 for the height of an image and 1 for its width.
        """
        size = self.cut[axis]
        if length < size:
            raise DataError(
                f"a tile of {size} pixels does not fit in an image side of {length} pixels; "
                "lower tiling.size of the data set"
            )
        steps = -(-length // size) - 1
        # Rounded to the nearest pixel, halves up.
        return [(2 * i * (length - size) + steps) // (2 * steps) if steps else 0 for i in range(steps + 1)]

    def grid(self, height: int, width: int) -> tuple[list[int], list[int]]:
        """Return where the rows and the columns of tiles of an image start, in pixels of the image as it is cut."""
        rows, columns = self.image_size or (height, width)
        return self.offsets(rows, 0), self.offsets(columns, 1)

    def corners(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return (top, left) of every tile in pixels of the image as it is cut, row by row."""
        tops, lefts = self.grid(height, width)
        return [(top, left) for top in tops for left in lefts]

    def cut_image(self, image: UInt8) -> UInt8:
        """Return the resized tiles of an image: (height, width, 3) to (tiles, *stored, 3), antialiased."""
        tiles = self._cut(self._resized(image, self.image_size or image.shape[:2]))
        return np.stack([self._resized(tile, self.stored) for tile in tiles])

    def cut_label(self, label: UInt8) -> UInt8:
        """Return the resized tiles of a label map: (height, width) to (tiles, *stored).

        Nearest by pixel centres, also to ``image_size``: pixel i takes source pixel floor((i + 0.5) * from / to), in
        whole numbers, so a centre on the border of two source pixels takes the later one. ("nearest-exact" of torch
        and Pillow's nearest are the same but for such borders, where they depend on rounding.)
        """
        if self.image_size is not None:
            rows, columns = map(_nearest, label.shape, self.image_size)
            label = label[rows[:, None], columns]
        rows, columns = map(_nearest, self.cut, self.stored)
        return np.ascontiguousarray(self._cut(label)[:, rows[:, None], columns])

    def _cut(self, image: UInt8) -> UInt8:
        corners = self.corners(*image.shape[:2])
        height, width = self.cut
        return np.stack([image[top : top + height, left : left + width] for top, left in corners])

    def _resized(self, image: UInt8, size: tuple[int, ...]) -> UInt8:
        """Resize (height, width, 3) to ``size`` (rows, columns)."""
        if image.shape[:2] == size:
            return image
        return np.asarray(Image.fromarray(image).resize((size[1], size[0]), _INTERPOLATIONS[self.interpolation]))


def tile_table(index: pd.DataFrame, tiling: Tiling) -> pd.DataFrame:
    """Return the tiles of an images table, in its order: tile, image_id, split, row, col, top, left.

    ``tile`` is ``<image_id>#r<row>c<col>``; ``top`` and ``left`` are in pixels of the image as it is cut, that is of
    the resized one with ``image_size``.
    """
    rows = [
        (f"{image_id}#r{row}c{col}", image_id, split, row, col, top, left)
        for image_id, split, height, width in zip(
            index["image_id"], index["split"], index["height"], index["width"], strict=True
        )
        for tops, lefts in [tiling.grid(height, width)]
        for row, top in enumerate(tops)
        for col, left in enumerate(lefts)
    ]
    return pd.DataFrame(rows, columns=["tile", "image_id", "split", "row", "col", "top", "left"])


def write_tiles(
    build: Build,
    dataset: Dataset,
    index: pd.DataFrame,
    *,
    tiling: Tiling,
    corruption: "Corruption | None" = None,
    seed: int = 0,
    threads: int = 1,
) -> None:
    """Fill a store with tiles: ``image`` uint8 (level, tile, y, x, channel).

    Without a corruption the tiles of all splits, as one level of value 0; with one, all its levels for the
    evaluation split. Geometric corruptions add ``affine`` (level, 2, 3), about the centre that attribute
    ``affine_frame`` names, and ``label`` uint8 (level, tile, y, x), moved with the pixels. The content does
    not depend on ``threads``.

    Raises DataError for files that changed since the index was made, and for a geometric corruption of full
    images that differ in size (they have no common matrix).
    """
    if corruption is not None:
        index = index[index["split"] == "evaluation"]
    table = tile_table(index, tiling)
    levels: Sequence[Any] = (0.0,) if corruption is None else corruption.levels
    moved = cast("Geometric", corruption) if corruption is not None and corruption.geometric else None
    chunk = _chunk_tiles(table, tiling)
    shape = (len(levels), len(table), *tiling.stored)
    image = build.array(
        "image", (*shape, 3), (1, chunk, *shape[2:], 3), np.uint8, ("level", "tile", "y", "x", "channel")
    )
    label = None
    if moved is not None:
        dims = ("level", "tile", "y", "x")
        label = build.array("label", shape, (1, chunk, *shape[2:]), np.uint8, dims, compress=True)
        affines = _affines(moved, index, tiling)
        build.coordinate("affine", affines, ("level", "affine_row", "affine_column"))
        build.attributes(affine_frame=moved.apply, void_id=dataset.classes.void)
    values = np.zeros(1) if corruption is None else corruption.level_values()
    build.coordinate("level", values, ("level",))
    _describe(build, table, tiling, "clean" if corruption is None else corruption.kind)

    def tiles_of(record: Record, size: tuple[int, int]) -> dict[str, UInt8]:
        pixels = _same_size(dataset.read_image(record), size, record)
        if corruption is None:
            return {"image": tiling.cut_image(pixels)[None]}
        made = {"image": _corrupted(corruption, pixels, tiling, record.image_id, seed)}
        if moved is not None:
            made["label"] = _moved_labels(moved, dataset.read_label(record), tiling, dataset.classes.void)
        return made

    for start, stop, made in _pending_chunks(build, index, table, chunk, tiles_of, threads):
        image[:, start:stop] = made["image"]
        if label is not None:
            label[:, start:stop] = made["label"]


def write_labels(build: Build, dataset: Dataset, index: pd.DataFrame, *, tiling: Tiling, threads: int = 1) -> None:
    """Fill a store with the label maps of the clean tiles of all splits: ``label`` uint8 (tile, y, x).

    Attributes: class_ids, class_names, class_colors, void_id, supercategories (null where there are none).
    """
    table = tile_table(index, tiling)
    chunk = _chunk_tiles(table, tiling)
    shape = (len(table), *tiling.stored)
    label = build.array("label", shape, (chunk, *shape[1:]), np.uint8, ("tile", "y", "x"), compress=True)
    _describe(build, table, tiling, "clean")
    classes = dataset.classes
    build.attributes(
        class_ids=list(classes.ids),
        class_names=list(classes.names),
        class_colors=[list(color) for color in classes.colors],
        void_id=classes.void,
        supercategories=None if classes.supercategories is None else list(classes.supercategories),
    )

    def tiles_of(record: Record, size: tuple[int, int]) -> dict[str, UInt8]:
        return {"label": tiling.cut_label(_same_size(dataset.read_label(record), size, record))[None]}

    for start, stop, made in _pending_chunks(build, index, table, chunk, tiles_of, threads):
        label[start:stop] = made["label"][0]


def _corrupted(corruption: "Corruption", image: UInt8, tiling: Tiling, image_id: str, seed: int) -> UInt8:
    """Return the tiles of an image at every level, uint8 (level, tile, y, x, 3)."""
    if corruption.apply == "image":
        return np.stack(
            [tiling.cut_image(corruption.corrupt(image, level, seed=seed, key=image_id)) for level in corruption.levels]
        )
    columns = len(tiling.grid(*image.shape[:2])[1])
    tiles = tiling.cut_image(image)
    keys = [f"{image_id}#r{i // columns}c{i % columns}" for i in range(len(tiles))]
    return np.stack(
        [
            np.stack([corruption.corrupt(t, level, seed=seed, key=k) for t, k in zip(tiles, keys, strict=True)])
            for level in corruption.levels
        ]
    )


def _moved_labels(corruption: "Geometric", label: UInt8, tiling: Tiling, void: int) -> UInt8:
    """Return the label tiles of an image at every level, uint8 (level, tile, y, x)."""
    if corruption.apply == "image":
        return np.stack([tiling.cut_label(corruption.move_label(label, level, void)) for level in corruption.levels])
    tiles = tiling.cut_label(label)
    return np.stack([np.stack([corruption.move_label(t, level, void) for t in tiles]) for level in corruption.levels])


def _affines(corruption: "Geometric", index: pd.DataFrame, tiling: Tiling) -> npt.NDArray[np.float64]:
    """Return the matrices of all levels, float64 (level, 2, 3), in the frame the corruption is applied in."""
    height, width = tiling.stored
    if corruption.apply == "image":
        sizes = sorted(set(zip(index["height"], index["width"], strict=True)))
        if len(sizes) != 1:
            raise DataError(
                f"the images have {len(sizes)} sizes, so no one matrix moves them all; "
                f"set corruptions.{corruption.kind}.apply to tile"
            )
        height, width = sizes[0]
    return np.stack([corruption.affine(level, height, width) for level in corruption.levels])


def _describe(build: Build, table: pd.DataFrame, tiling: Tiling, corruption: str) -> None:
    for column in table.columns:
        text = table[column].dtype.kind not in "iu"
        values = table[column].to_numpy(dtype=object if text else np.int64)
        build.coordinate(column, values, ("tile",))
    build.attributes(
        corruption=corruption,
        tile_size=_plain(tiling.size),
        resize=_plain(tiling.resize),
        interpolation=tiling.interpolation,
        image_size=_plain(tiling.image_size),
    )


def _pair(side: int | tuple[int, int]) -> tuple[int, int]:
    return (side[0], side[1]) if isinstance(side, tuple) else (side, side)


def _plain(size: int | tuple[int, int] | None) -> int | list[int] | None:
    return list(size) if isinstance(size, tuple) else size


def _nearest(source: int, target: int) -> npt.NDArray[np.intp]:
    """Return the source pixel of every target pixel along one side."""
    return (2 * np.arange(target) + 1) * source // (2 * target)


def _chunk_tiles(table: pd.DataFrame, tiling: Tiling) -> int:
    """Return the tiles in a chunk: those of whole images, about 32, where all images have the same number."""
    wanted = max(1, min(_CHUNK_TILES, _CHUNK_PIXELS // (tiling.stored[0] * tiling.stored[1])))
    numbers = table["image_id"].value_counts()
    number = int(numbers.iloc[0])
    return number * max(1, round(wanted / number)) if (numbers == number).all() else wanted


def _pending_chunks(
    build: Build,
    index: pd.DataFrame,
    table: pd.DataFrame,
    chunk: int,
    tiles_of: Callable[[Record, tuple[int, int]], Mapping[str, UInt8]],
    threads: int,
) -> Iterator[tuple[int, int, dict[str, UInt8]]]:
    """Yield (first tile, last tile + 1, arrays) of every chunk not yet written; a chunk is finished when resumed.

    The arrays of ``tiles_of`` have the axes (level, tile, ...); an image whose tiles lie in two chunks is
    read twice.
    """
    records = index_records(index)
    sizes = list(zip(index["height"].tolist(), index["width"].tolist(), strict=True))
    numbers = table.groupby("image_id", sort=False).size().to_numpy()
    ends = np.cumsum(numbers)

    def make(start: int) -> dict[str, UInt8]:
        stop = min(start + chunk, len(table))
        first = int(np.searchsorted(ends, start, side="right"))
        last = int(np.searchsorted(ends, stop, side="left"))
        parts = [tiles_of(records[i], sizes[i]) for i in range(first, last + 1)]
        skip = start - int(ends[first] - numbers[first])
        return {
            name: np.concatenate([part[name] for part in parts], axis=1)[:, skip : skip + stop - start]
            for name in parts[0]
        }

    units = {f"tiles from {start}": start for start in range(0, len(table), chunk)}
    pending = build.pending(list(units))
    with tqdm(total=len(pending), desc="writing tiles", unit="chunk") as progress:
        for unit, made in zip(pending, _in_order(make, [units[u] for u in pending], threads), strict=True):
            start = units[unit]
            yield start, min(start + chunk, len(table)), made
            build.finish(unit)
            progress.update()


def _in_order(
    make: Callable[[int], dict[str, UInt8]], starts: Sequence[int], threads: int
) -> Iterator[dict[str, UInt8]]:
    """Yield ``make(start)`` in order, made ahead by threads, but never more than one a thread so memory is bounded."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[dict[str, UInt8]]] = deque()
        try:
            for start in starts:
                waiting.append(pool.submit(make, start))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _same_size(array: Any, size: tuple[int, int], record: Record) -> Any:
    if array.shape[:2] != size:
        raise DataError(
            f"{record.image_id} is {array.shape[1]} x {array.shape[0]} pixels but was {size[1]} x {size[0]} when the "
            "images were checked; delete the data set's images.csv and run again"
        )
    return array
