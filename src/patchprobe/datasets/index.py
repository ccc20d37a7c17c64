"""The index of a data set: which images a run uses, every one of them checked."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from patchprobe.datasets.annotations import DRAWS
from patchprobe.datasets.dataset import Classes, Dataset, Record, Window
from patchprobe.datasets.draws import Drawn, draw, draw_per_class, draw_tiles, draw_videos, tile_records
from patchprobe.datasets.pictures import orientation_of, turned
from patchprobe.errors import ConfigError, DataError, printable, several

SPLITS = ("train", "evaluation")
MANY = 20
"""So many images show what a data set usually has."""

_log = logging.getLogger(__name__)
_Found = TypeVar("_Found")


def build_index(
    dataset: Dataset,
    name: str,
    entry: Mapping[str, Any],
    *,
    seed: int,
    present: Mapping[str, Collection[int]] | None = None,
    threads: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw the images of both splits and check each one completely, before anything expensive.

    ``entry`` is the data set's config entry (keys ``splits`` and ``tiling``), ``name`` its key. ``present`` has the
    ids of the classes that every image_id shows, as :mod:`patchprobe.datasets.present_classes` finds them; only
    ``per_class`` and ``tiles_per_class`` need it. Returns two
    tables: images (image_id, split, group, drawn_for, image, label, top, left, height, width, ground_sample_distance,
    image_sha256, label_sha256), sorted by split and image_id with training first, and the pixels of every class, void last
    (split, id, name, images, pixels), where ``images`` counts those that show the class. A tile that is drawn by itself is
    an image; ``top`` and ``left`` say where in its file it begins. ``drawn_for`` is the group or the name of the class that
    the image was drawn for, empty where the draw is over all images. The result does not depend on ``threads``.

    The evaluation images are drawn first. Training images, if the data set has such a split, are drawn from the others, so
    both splits may have one source, and the evaluation does not depend on how many images there are to train.

    Raises DataError for a missing or broken file, an image and label map of different sizes, an id that is
    not a class, a tile that does not fit, a split without any class and a draw that asks for more images than there are; ConfigError for
    bad keys.
    """
    drawn: dict[str, list[Drawn]] = {}
    splits = [split for split in SPLITS if entry["splits"].get(split)]
    for split in reversed(splits):
        taken = [d.record for other in drawn.values() for d in other]
        drawn[split] = _draw_split(dataset, name, split, entry, taken, present, seed)
    pairs = [(split, d) for split in splits for d in drawn[split]]
    check = partial(_check, dataset, name, entry["tiling"])
    checked = each_or_all_errors(check, [d.record for _, d in pairs], f"{name}: checking images and labels", threads)
    facts, counts = [fact for fact, _ in checked], [counts for _, counts in checked]
    rows = [
        {
            "image_id": d.record.image_id,
            "split": split,
            "group": d.record.group,
            "drawn_for": d.drawn_for,
            "image": d.record.image.as_posix(),
            "label": d.record.label.as_posix(),
            "top": d.record.window.top if d.record.window else 0,
            "left": d.record.window.left if d.record.window else 0,
            **fact,
            "ground_sample_distance": d.record.ground_sample_distance,
        }
        for (split, d), fact in zip(pairs, facts, strict=True)
    ]
    pixels = np.array(counts)
    images, classes = pd.DataFrame(rows), _class_table(dataset, [split for split, _ in pairs], pixels)
    for split in splits:
        part = classes[(classes["split"] == split) & (classes["name"] != "void")]
        if not part["pixels"].sum():
            raise DataError(
                f"datasets.{name}: no pixel of the {(images['split'] == split).sum()} {split} images has a class, all are void: "
                "use the label maps with evaluation ids, or draw other images"
            )
    _notice_twice(name, images)
    _notice_unusual(name, dataset, classes, images)
    return images, classes


def each_or_all_errors(
    function: Callable[[Record], _Found], records: Sequence[Record], what: str, threads: int
) -> list[_Found]:
    """Return what a function finds in each record, made by threads; what is wrong with files is said of all at once.

    ``what`` stands before the progress. Raises DataError with the first messages and their number.
    """

    def tried(record: Record) -> _Found | DataError:
        try:
            return function(record)
        except DataError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        found = list(tqdm(pool.map(tried, records), what, len(records), unit="image"))
    if errors := [one for one in found if isinstance(one, DataError)]:
        # Tiles of one image meet the same fault.
        different = list({str(error): error for error in errors}.values())
        raise DataError(several(different, "images or label maps cannot be used"))
    return [one for one in found if not isinstance(one, DataError)]


def index_records(index: pd.DataFrame) -> list[Record]:
    """Return the records of the rows of an images table, in its order."""
    places = (index[column].tolist() for column in ("top", "left", "height", "width"))
    columns = (index[column] for column in ("image_id", "group", "image", "label"))
    return [
        Record(image_id, group, Path(image), Path(label), window)
        for image_id, group, image, label, window in zip(*columns, map(Window, *places), strict=True)
    ]


def _draw_split(
    dataset: Dataset,
    name: str,
    split: str,
    entry: Mapping[str, Any],
    taken: Collection[Record],
    present: Mapping[str, Collection[int]] | None,
    seed: int,
) -> list[Drawn]:
    rule, key = entry["splits"][split], f"datasets.{name}.splits.{split}"
    source = rule["source"]
    if source not in dataset.counts:
        raise ConfigError(f"{key}.source: there is no split {source!r}; take one of {', '.join(dataset.counts)}")
    numbers = [number for number in DRAWS if rule.get(number) is not None]
    if len(numbers) > 1:
        raise ConfigError(f"{key}: {' and '.join(numbers)} are both set; set one of them to null")
    records = dataset.records(source)
    if not records:
        raise DataError(f"{key}.source: split {source!r} holds no images; complete the data set")
    _notice_number(name, source, records, dataset)
    images_taken, groups_taken = {record.image for record in taken}, {record.group for record in taken}
    left = [record for record in records if record.image not in images_taken]
    if rule.get("videos") is not None:
        left = [record for record in left if record.group not in groups_taken]
    if not left:
        raise DataError(
            f"{key}.source: all {len(records)} images of split {source!r} are taken for the evaluation; set "
            f"datasets.{name}.splits.evaluation.{_drawn_by(entry['splits']['evaluation'])} to fewer, or take another source"
        )
    try:
        if rule.get("videos") is not None:
            return draw_videos(left, videos=rule["videos"], seed=seed, source=source)
        if rule.get("per_class") is None and rule.get("tiles_per_class") is None:
            images, per_group = rule.get("images"), rule.get("per_group")
            return draw(left, images=images, per_group=per_group, seed=seed, source=source)
        assert present is not None, "the draw needs the classes of every image"
        if rule.get("tiles_per_class") is not None:
            tiles = tile_records(left, present, entry["tiling"]["size"])
            return _draw_tiles(name, dataset.classes, tiles, present, rule["tiles_per_class"], seed, source)
        _notice_absent_classes(name, source, dataset.classes, present, left)
        return draw_per_class(left, present, dataset.classes, per_class=rule["per_class"], seed=seed, source=source)
    except DataError as error:
        raise DataError(f"{key}: {error}") from None


def _drawn_by(rule: Mapping[str, Any]) -> str:
    """Return the key that says how many a split draws, ``images`` if it takes all."""
    return next((draw for draw in DRAWS if rule.get(draw) is not None), "images")


def _draw_tiles(
    name: str,
    classes: Classes,
    tiles: Sequence[Record],
    present: Mapping[str, Collection[int]],
    wanted: int,
    seed: int,
    source: str,
) -> list[Drawn]:
    """Draw tiles, and say which classes have fewer than ``wanted``."""
    if not tiles:
        raise DataError(
            "no tile holds enough of a box of any category: the box files hold no objects, or the images are smaller than a tile; "
            "complete the split, or lower tiling.size"
        )
    _notice_absent_classes(name, source, classes, present, tiles)
    drawn = draw_tiles(tiles, present, classes, tiles_per_class=wanted, seed=seed, source=source)
    found = Counter(d.drawn_for for d in drawn)
    shown = {i for tile in tiles for i in present[tile.image_id]}
    few = {n: found[n] for i, n in zip(classes.ids, classes.names, strict=True) if i in shown and found[n] < wanted}
    if few:
        _log.warning(
            "%s %s: fewer than %d tiles are left to draw for: %s",
            *(name, source, wanted, ", ".join(f"{category} {number}" for category, number in few.items())),
        )
    return drawn


def _notice_number(name: str, source: str, records: Sequence[Record], dataset: Dataset) -> None:
    # Of images or frames, and of videos where the data set has some.
    official, videos = dataset.counts[source], getattr(dataset, "videos", {}).get(source)
    found = [(len(records), official, "images")]
    if videos is not None:
        found = [(len({record.group for record in records}), videos, "videos"), (len(records), official, "frames")]
    if all(whole in (number, None) for number, whole, _ in found):
        _log.info("%s %s: complete, %s", name, source, ", ".join(f"{number} {what}" for number, _, what in found))
    else:
        parts = (
            f"{number} {what}" if whole is None else f"{number} of {whole} {what}" for number, whole, what in found
        )
        _log.warning("%s %s: subset, %s", name, source, ", ".join(parts))


def _notice_absent_classes(
    name: str, source: str, classes: Classes, present: Mapping[str, Collection[int]], records: Sequence[Record]
) -> None:
    shown = {i for record in records for i in present.get(record.image_id, ())}
    known = zip(classes.ids, classes.names, strict=True)
    absent = [class_name for i, class_name in known if i not in shown and i != classes.background]
    if absent:
        _log.warning(
            "%s %s: nothing shows %d of the %d classes, such as %s; none is drawn for them",
            *(name, source, len(absent), len(classes.ids) - (classes.background is not None), absent[0]),
        )


def _notice_twice(name: str, images: pd.DataFrame) -> None:
    """Say which picture is among those to learn from and among those to evaluate, under whatever names."""
    train, evaluation = (images[images["split"] == split] for split in SPLITS)
    both = train.merge(evaluation, on=["image_sha256", "top", "left"], suffixes=("", "_evaluated"))
    if len(both):
        first = both.iloc[0]
        _log.warning(
            "%s: %d images are the same file in both splits, such as %s (train) and %s (evaluation): what is learnt from one "
            "is no surprise in the other; take one out",
            *(name, len(both), printable(first["image_id"]), printable(first["image_id_evaluated"])),
        )


def _notice_unusual(name: str, dataset: Dataset, classes: pd.DataFrame, images: pd.DataFrame) -> None:
    """Say what a split lacks that official images have, since its label maps may be others than the adapter takes them for."""
    usual: tuple[str, ...] = getattr(dataset, "usual", ())
    for split, number in images["split"].value_counts(sort=False).items():
        part = classes[classes["split"] == split].set_index("name")["pixels"]
        lacking = [usual_name for usual_name in usual if not part[usual_name]]
        if lacking and number >= MANY:
            _log.warning(
                "%s: of %d %s images none shows %s, which official ones do: the label maps may be %s; compare one with the "
                "release",
                *(name, number, split, ", ".join(lacking), getattr(dataset, "mistaken", "") or "others"),
            )


def _check(
    dataset: Dataset, name: str, tiling: Mapping[str, Any], record: Record
) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
    image, label = dataset.read_image(record), dataset.read_label(record)
    height, width = label.shape
    if image.shape[:2] != label.shape:
        raise DataError(
            f"image {_whole(dataset, record.image)} is {image.shape[1]} x {image.shape[0]} pixels but its label map "
            f"{_whole(dataset, record.label)} is {width} x {height}{_turned(dataset, record)}; copy both again from the original data set"
        )
    if tiling.get("image_size") is None and tiling["size"] > min(height, width):
        raise DataError(
            f"datasets.{name}.tiling.size is {tiling['size']}, but image {_whole(dataset, record.image)} is {width} x {height} "
            f"pixels; set it to {min(height, width)} or less, or set tiling.image_size"
        )
    sides, size = tuple(tiling.get("image_size") or (height, width)), tiling["size"]
    if getattr(dataset, "tiles_meet", False) and any(side % size for side in sides):
        fitting = [max(1, round(side / size)) * size for side in sides]
        raise DataError(
            f"datasets.{name}.tiling: tiles of {size} px overlap in frame {_whole(dataset, record.image)} of {sides[1]} x {sides[0]} "
            f"px, so that they make no feature map: set tiling.image_size to multiples of tiling.size, such as {fitting}"
        )
    counts = np.bincount(label.ravel(), minlength=256)
    allowed = (*dataset.classes.ids, dataset.classes.void)
    unknown = sorted(set(np.flatnonzero(counts).tolist()) - set(allowed))
    if unknown:
        raise DataError(
            f"label map {_whole(dataset, record.label)} holds id {unknown[0]} at {counts[unknown[0]]} pixels; allowed are "
            f"{_ranges(allowed)}: use the label maps with evaluation ids"
        )
    image_sha256, label_sha256 = dataset.digests(record)
    fact = {"height": height, "width": width, "image_sha256": image_sha256, "label_sha256": label_sha256}
    return fact, counts


def _whole(dataset: Dataset, path: Path) -> Path:
    """Return the whole path of a file of a data set that has files."""
    return Path(getattr(dataset, "root", None) or "") / path


def _turned(dataset: Dataset, record: Record) -> str:
    """Say whether a viewer would turn the image, since its label map may have been drawn on the turned one."""
    path = _whole(dataset, record.image)
    orientation = orientation_of(path) if path.is_file() else 1
    if orientation == 1:
        return ""
    return f" (the image {turned(orientation)}; if its label map was drawn on it turned, save the image turned)"


def _class_table(dataset: Dataset, splits: Sequence[str], pixels: npt.NDArray[np.int64]) -> pd.DataFrame:
    classes = dataset.classes
    rows = []
    for split in dict.fromkeys(splits):
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
