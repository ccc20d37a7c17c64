"""The index of a data set: which images a run uses, every one of them checked."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from patchprobe.datasets import Dataset, Record
from patchprobe.errors import ConfigError, DataError
from patchprobe.seeds import generator

SPLITS = ("train", "evaluation")

_log = logging.getLogger(__name__)


def build_index(
    dataset: Dataset, name: str, entry: Mapping[str, Any], *, seed: int, threads: int = 1
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw the images of both splits and check each one completely, before anything expensive.

    ``entry`` is the data set's config entry (keys ``splits`` and ``tiling``), ``name`` its key. Returns two
    tables: images (image_id, split, group, image, label, height, width, image_sha256, label_sha256), sorted
    by split and image_id with training first, and the pixels of every class, void last (split, id, name,
    images, pixels), where ``images`` counts those that show the class. The result does not depend on
    ``threads``.

    Raises DataError for a missing or broken file, an image and label map of different sizes, an id that is
    not a class, a tile that does not fit and a draw that asks for more images than there are; ConfigError for
    bad keys.
    """
    drawn = {split: _draw_split(dataset, name, split, entry["splits"][split], seed) for split in SPLITS}
    _check_disjoint(drawn, name)
    pairs = [(split, record) for split in SPLITS for record in drawn[split]]
    check = partial(_check, dataset, name, entry["tiling"])
    with ThreadPoolExecutor(threads) as pool:
        checked = pool.map(check, (record for _, record in pairs))
        facts = list(tqdm(checked, f"{name}: checking images and labels", len(pairs), unit="image"))
    rows = [
        {
            "image_id": record.image_id,
            "split": split,
            "group": record.group,
            "image": record.image.as_posix(),
            "label": record.label.as_posix(),
            **fact,
        }
        for (split, record), (fact, _) in zip(pairs, facts, strict=True)
    ]
    pixels = np.array([counts for _, counts in facts])
    return pd.DataFrame(rows), _class_table(dataset, [split for split, _ in pairs], pixels)


def read_index(path: Path) -> pd.DataFrame:
    """Read the images table that :func:`build_index` made and a job wrote as CSV."""
    # Names such as "0001" and "NA" are names.
    types = {**dict.fromkeys(_TEXT_COLUMNS, str), "height": int, "width": int}
    return pd.read_csv(path, dtype=types, keep_default_na=False)


def index_records(index: pd.DataFrame) -> list[Record]:
    """Return the records of the rows of an images table, in its order."""
    columns = (index[column] for column in ("image_id", "group", "image", "label"))
    return [Record(i, group, Path(image), Path(label)) for i, group, image, label in zip(*columns, strict=True)]


def draw(
    records: Sequence[Record], *, images: int | None, per_group: int | None, seed: int, source: str
) -> list[Record]:
    """Draw a few-shot subset over the sorted names: ``images`` in all, ``per_group`` of each group, or all.

    A larger draw with the same seed contains the smaller one, and the draw from a group does not depend on
    the other groups. Returns the records sorted by image_id. Raises DataError if there are fewer than asked
    for, ConfigError if both numbers are given.
    """
    if images is not None and per_group is not None:
        raise ConfigError("images and per_group are both set; set one of them to null")
    if images is None and per_group is None:
        return sorted(records, key=lambda record: record.image_id)
    wanted = per_group if images is None else images
    assert wanted is not None
    pools: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.image_id):
        pools.setdefault("" if per_group is None else record.group, []).append(record)
    key, remedy = ("images", "split") if per_group is None else ("per_group", "group")
    chosen: list[Record] = []
    for group, pool in pools.items():
        if wanted > len(pool):
            where = f"group {group!r} of split {source!r}" if group else f"split {source!r}"
            raise DataError(
                f"{key} asks for {wanted} images but {where} has {len(pool)}; lower {key} or complete the {remedy}"
            )
        order = generator(seed, "draw", source, group).permutation(len(pool))
        chosen += [pool[i] for i in order[:wanted]]
    return sorted(chosen, key=lambda record: record.image_id)


_TEXT_COLUMNS = ("image_id", "split", "group", "image", "label", "image_sha256", "label_sha256")


def _draw_split(dataset: Dataset, name: str, split: str, rule: Mapping[str, Any], seed: int) -> list[Record]:
    source, key = rule["source"], f"datasets.{name}.splits.{split}"
    if source not in dataset.counts:
        raise ConfigError(f"{key}.source: there is no split {source!r}; it has {', '.join(dataset.counts)}")
    records = dataset.records(source)
    if not records:
        raise DataError(f"{key}.source: split {source!r} holds no images; complete the data set")
    if len(records) != dataset.counts[source]:
        _log.warning("%s %s: subset, %d of %d images", name, source, len(records), dataset.counts[source])
    try:
        return draw(records, images=rule.get("images"), per_group=rule.get("per_group"), seed=seed, source=source)
    except (ConfigError, DataError) as error:
        raise type(error)(f"{key}: {error}") from None


def _check_disjoint(drawn: Mapping[str, Sequence[Record]], name: str) -> None:
    shared = sorted(set.intersection(*({record.image_id for record in records} for records in drawn.values())))
    if shared:
        raise ConfigError(
            f"datasets.{name}.splits: train and evaluation share {len(shared)} images, such as {shared[0]}; "
            "set different sources"
        )


def _check(
    dataset: Dataset, name: str, tiling: Mapping[str, Any], record: Record
) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
    image, label = dataset.read_image(record), dataset.read_label(record)
    height, width = label.shape
    if image.shape[:2] != label.shape:
        raise DataError(
            f"image {record.image} is {image.shape[1]} x {image.shape[0]} pixels but its label map "
            f"{record.label} is {width} x {height}; copy both again from the original data set"
        )
    if tiling.get("image_size") is None and tiling["size"] > min(height, width):
        raise DataError(
            f"datasets.{name}.tiling.size is {tiling['size']}, but image {record.image} is {width} x {height} "
            f"pixels; set it to {min(height, width)} or less, or set tiling.image_size"
        )
    counts = np.bincount(label.ravel(), minlength=256)
    allowed = (*dataset.classes.ids, dataset.classes.void)
    unknown = sorted(set(np.flatnonzero(counts).tolist()) - set(allowed))
    if unknown:
        raise DataError(
            f"label map {record.label} holds id {unknown[0]} at {counts[unknown[0]]} pixels; allowed are "
            f"{_ranges(allowed)}: use the label maps with evaluation ids"
        )
    image_sha256, label_sha256 = dataset.digests(record)
    fact = {"height": height, "width": width, "image_sha256": image_sha256, "label_sha256": label_sha256}
    return fact, counts


def _class_table(dataset: Dataset, splits: Sequence[str], pixels: npt.NDArray[np.int64]) -> pd.DataFrame:
    classes = dataset.classes
    rows = []
    for split in SPLITS:
        part = pixels[[s == split for s in splits]]
        for i, name in zip((*classes.ids, classes.void), (*classes.names, "void"), strict=True):
            images = int((part[:, i] > 0).sum())
            rows.append({"split": split, "id": i, "name": name, "images": images, "pixels": int(part[:, i].sum())})
    return pd.DataFrame(rows)


def _ranges(ids: Sequence[int]) -> str:
    """Write ids compactly: (0, 1, 2, 255) as "0-2, 255"."""
    runs: list[list[int]] = []
    for i in sorted(ids):
        if runs and i == runs[-1][-1] + 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
