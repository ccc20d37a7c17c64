"""The stores of tiles and of their label maps."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from patchprobe.datasets.dataset import Dataset, Record
from patchprobe.datasets.index import index_records
from patchprobe.errors import DataError
from patchprobe.stores.build import Build
from patchprobe.tiles.tiling import Tiling, UInt8, tile_table

if TYPE_CHECKING:  # not needed to run, so that clean tiles do not depend on how images are corrupted
    from patchprobe.corruptions.corruption import Corruption
    from patchprobe.corruptions.geometric import Geometric

_CHUNK_TILES = 32
_CHUNK_PIXELS = _CHUNK_TILES * 512 * 512  # fewer than 32 tiles in a chunk where they are larger, such as full images


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
    _say_distances(build, index, table, tiling)

    expected = _digests(index)

    def tiles_of(record: Record) -> dict[str, UInt8]:
        _check_unchanged(dataset, record, expected)
        pixels = dataset.read_image(record)
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

    Attributes: class_ids, class_names, class_colors, void_id, background_id and supercategories (null where there are none).
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
        background_id=classes.background,
        supercategories=None if classes.supercategories is None else list(classes.supercategories),
    )

    expected = _digests(index)

    def tiles_of(record: Record) -> dict[str, UInt8]:
        _check_unchanged(dataset, record, expected)
        return {"label": tiling.cut_label(dataset.read_label(record))[None]}

    for start, stop, made in _pending_chunks(build, index, table, chunk, tiles_of, threads):
        label[start:stop] = made["label"][0]


def _corrupted(corruption: "Corruption", image: UInt8, tiling: Tiling, image_id: str, seed: int) -> UInt8:
    """Return the tiles of an image at every level, uint8 (level, tile, y, x, 3)."""

    def made(pixels: UInt8, level: Any, key: str) -> UInt8:
        found = corruption.corrupt(pixels, level, seed=seed, key=key)
        if found.dtype != np.uint8 or found.shape != pixels.shape:
            raise DataError(
                f"corruptions.{corruption.kind}: corrupt() returned {found.dtype} of shape {found.shape}; have it give uint8 of the "
                f"shape that it gets, {pixels.shape} (to_uint8 rounds)"
            )
        return found

    if corruption.apply == "image":
        return np.stack([tiling.cut_image(made(image, level, image_id)) for level in corruption.levels])
    columns = len(tiling.grid(*image.shape[:2])[1])
    tiles = tiling.cut_image(image)
    keys = [f"{image_id}#r{i // columns}c{i % columns}" for i in range(len(tiles))]
    return np.stack(
        [np.stack([made(t, level, k) for t, k in zip(tiles, keys, strict=True)]) for level in corruption.levels]
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


def _say_distances(build: Build, index: pd.DataFrame, table: pd.DataFrame, tiling: Tiling) -> None:
    """Note the side of a pixel of each tile on the ground, in metres as it is stored, if images say theirs."""
    distances = index.set_index("image_id")["ground_sample_distance"]
    if distances.notna().any():
        shrunk = index.set_index("image_id")["height"] / tiling.image_size[0] if tiling.image_size else 1.0
        metres = distances * shrunk * (tiling.cut[0] / tiling.stored[0])
        build.coordinate("ground_sample_distance", metres.loc[table["image_id"]].to_numpy(np.float64), ("tile",))


def _plain(size: int | tuple[int, int] | None) -> int | list[int] | None:
    return list(size) if isinstance(size, tuple) else size


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
    tiles_of: Callable[[Record], Mapping[str, UInt8]],
    threads: int,
) -> Iterator[tuple[int, int, dict[str, UInt8]]]:
    """Yield (first tile, last tile + 1, arrays) of every chunk not yet written; a chunk is finished when resumed.

    The arrays of ``tiles_of`` have the axes (level, tile, ...); an image whose tiles lie in two chunks is
    read twice.
    """
    records = index_records(index)
    numbers = table.groupby("image_id", sort=False).size().to_numpy()
    ends = np.cumsum(numbers)

    def make(start: int) -> dict[str, UInt8]:
        stop = min(start + chunk, len(table))
        first = int(np.searchsorted(ends, start, side="right"))
        last = int(np.searchsorted(ends, stop, side="left"))
        parts = [tiles_of(records[i]) for i in range(first, last + 1)]
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


def _digests(index: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return the SHA-256 of image and label map of every image_id, as they were when they were checked."""
    columns = (index[column] for column in ("image_id", "image_sha256", "label_sha256"))
    return {image_id: (image, label) for image_id, image, label in zip(*columns, strict=True)}


def _check_unchanged(dataset: Dataset, record: Record, expected: Mapping[str, tuple[str, str]]) -> None:
    """Raise DataError if a file is another than when the index was made, which has its size and its classes."""
    found = dataset.digests(record)
    for file, now, then in zip((record.image, record.label), found, expected[record.image_id], strict=True):
        if now != then:
            raise DataError(
                f"{Path(getattr(dataset, 'root', None) or '') / file} was changed after the images were checked; delete the data "
                "set's images.csv and run again"
            )
