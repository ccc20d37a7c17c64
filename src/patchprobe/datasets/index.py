"""The index of a data set: which images a run uses, every one of them checked."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from patchprobe.datasets.dataset import Classes, Dataset, Record
from patchprobe.datasets.pictures import orientation_of, turned
from patchprobe.errors import ConfigError, DataError, printable, several
from patchprobe.seeds import generator

SPLITS = ("train", "evaluation")
DRAWS = ("images", "per_group", "per_class")
MANY = 20
"""So many images show what a data set usually has."""

_log = logging.getLogger(__name__)
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Drawn:
    """A drawn image, and the group or the class it was drawn for; empty where the draw is over all images."""

    record: Record
    drawn_for: str


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
    ids of the classes that the label map of every image_id shows, as
    :func:`patchprobe.datasets.present_classes.present_classes` finds them; only ``per_class`` needs it. Returns two
    tables: images (image_id, split, group, drawn_for, image, label, height, width, image_sha256, label_sha256), sorted
    by split and image_id with training first, and the pixels of every class, void last (split, id, name, images,
    pixels), where ``images`` counts those that show the class. ``drawn_for`` is the group or the name of the class that
    the image was drawn for, empty where the draw is over all images. The result does not depend on ``threads``.

    The evaluation images are drawn first. Training images are drawn from the others, so both splits may have one
    source, and the evaluation does not depend on how many images there are to train.

    Raises DataError for a missing or broken file, an image and label map of different sizes, an id that is
    not a class, a tile that does not fit, a split without any class and a draw that asks for more images than there are; ConfigError for
    bad keys.
    """
    drawn: dict[str, list[Drawn]] = {}
    for split in reversed(SPLITS):
        taken = {d.record.image_id for other in drawn.values() for d in other}
        drawn[split] = _draw_split(dataset, name, split, entry["splits"][split], taken, present, seed)
    pairs = [(split, d) for split in SPLITS for d in drawn[split]]
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
            **fact,
        }
        for (split, d), fact in zip(pairs, facts, strict=True)
    ]
    pixels = np.array(counts)
    images, classes = pd.DataFrame(rows), _class_table(dataset, [split for split, _ in pairs], pixels)
    for split in SPLITS:
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
        raise DataError(several(errors, "images or label maps cannot be used"))
    return [one for one in found if not isinstance(one, DataError)]


def index_records(index: pd.DataFrame) -> list[Record]:
    """Return the records of the rows of an images table, in its order."""
    columns = (index[column] for column in ("image_id", "group", "image", "label"))
    return [Record(i, group, Path(image), Path(label)) for i, group, image, label in zip(*columns, strict=True)]


def draw(
    records: Sequence[Record], *, images: int | None, per_group: int | None, seed: int, source: str
) -> list[Drawn]:
    """Draw a few-shot subset over the sorted names: ``images`` in all, ``per_group`` of each group, or all.

    A larger draw with the same seed contains the smaller one, and the draw from a group does not depend on
    the other groups. Returns the images sorted by image_id. Raises DataError if there are fewer than asked for.
    """
    if images is None and per_group is None:
        return _sorted(Drawn(record, "") for record in records)
    wanted = per_group if images is None else images
    assert wanted is not None
    pools: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.image_id):
        pools.setdefault("" if per_group is None else record.group, []).append(record)
    key, remedy = ("images", "split") if per_group is None else ("per_group", "group")
    chosen: list[Drawn] = []
    for group, pool in pools.items():
        if wanted > len(pool):
            where = f"group {group!r} of split {source!r}" if group else f"split {source!r}"
            raise DataError(
                f"{key} asks for {wanted} images but {where} has {len(pool)}; lower {key} or complete the {remedy}"
            )
        order = generator(seed, "draw", source, group).permutation(len(pool))
        chosen += [Drawn(pool[i], group) for i in order[:wanted]]
    return _sorted(chosen)


def draw_per_class(
    records: Sequence[Record],
    present: Mapping[str, Collection[int]],
    classes: Classes,
    *,
    per_class: int,
    seed: int,
    source: str,
) -> list[Drawn]:
    """Draw ``per_class`` images for each class that any label map shows, no image twice.

    Every class has an order of its own over the sorted names of the images that show it; ``present`` has the ids of
    the classes of every image_id. Round by round each class takes the next image of its order that no other has taken,
    the class shown by the fewest images first and of equals the smaller id. So a larger draw with the same seed
    contains the smaller one. Returns the images sorted by image_id. Raises DataError if a class has too few images.
    """
    absent = [record for record in records if record.image_id not in present]
    if absent:
        raise DataError(f"the classes of {absent[0].label} are not known; delete present_classes.csv and run again")
    names = dict(zip(classes.ids, classes.names, strict=True))
    waiting: dict[int, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.image_id):
        for i in present[record.image_id]:
            waiting.setdefault(i, []).append(record)
    order = sorted(waiting, key=lambda i: (len(waiting[i]), i))
    totals = {i: len(pool) for i, pool in waiting.items()}
    for i, pool in waiting.items():
        shuffled = generator(seed, "draw", source, "class", i).permutation(len(pool))
        waiting[i] = [pool[k] for k in shuffled[::-1]]
    taken: dict[Record, int] = {}
    for found in range(per_class):
        for i in order:
            while waiting[i] and waiting[i][-1] in taken:
                waiting[i].pop()
            if not waiting[i]:
                raise DataError(
                    f"per_class asks for {per_class} images of class {names[i]!r}, but of the {totals[i]} in split "
                    f"{source!r} that show it {found} are left beside those drawn for other classes; lower per_class "
                    "or complete the split"
                )
            taken[waiting[i].pop()] = i
    return _sorted(Drawn(record, names[i]) for record, i in taken.items())


def _draw_split(
    dataset: Dataset,
    name: str,
    split: str,
    rule: Mapping[str, Any],
    taken: Collection[str],
    present: Mapping[str, Collection[int]] | None,
    seed: int,
) -> list[Drawn]:
    source, key = rule["source"], f"datasets.{name}.splits.{split}"
    if source not in dataset.counts:
        raise ConfigError(f"{key}.source: there is no split {source!r}; take one of {', '.join(dataset.counts)}")
    numbers = [number for number in DRAWS if rule.get(number) is not None]
    if len(numbers) > 1:
        raise ConfigError(f"{key}: {' and '.join(numbers)} are both set; set one of them to null")
    records = dataset.records(source)
    if not records:
        raise DataError(f"{key}.source: split {source!r} holds no images; complete the data set")
    _notice_number(name, source, len(records), dataset.counts[source])
    left = [record for record in records if record.image_id not in taken]
    if not left:
        raise DataError(
            f"{key}.source: all {len(records)} images of split {source!r} are taken for the evaluation; set "
            f"datasets.{name}.splits.evaluation.images to fewer, or take another source"
        )
    try:
        if rule.get("per_class") is None:
            images, per_group = rule.get("images"), rule.get("per_group")
            return draw(left, images=images, per_group=per_group, seed=seed, source=source)
        assert present is not None, "per_class needs the classes of every image"
        _notice_absent_classes(name, source, dataset.classes, present, left)
        return draw_per_class(left, present, dataset.classes, per_class=rule["per_class"], seed=seed, source=source)
    except DataError as error:
        raise DataError(f"{key}: {error}") from None


def _notice_number(name: str, source: str, number: int, official: int) -> None:
    if number == official:
        _log.info("%s %s: complete, %d images", name, source, number)
    else:
        _log.warning("%s %s: subset, %d of %d images", name, source, number, official)


def _notice_absent_classes(
    name: str, source: str, classes: Classes, present: Mapping[str, Collection[int]], records: Sequence[Record]
) -> None:
    shown = {i for record in records for i in present.get(record.image_id, ())}
    absent = [class_name for i, class_name in zip(classes.ids, classes.names, strict=True) if i not in shown]
    if absent:
        _log.warning(
            "%s %s: no image shows %d of the %d classes, such as %s; none is drawn for them",
            *(name, source, len(absent), len(classes.ids), absent[0]),
        )


def _notice_twice(name: str, images: pd.DataFrame) -> None:
    """Say which picture is among those to learn from and among those to evaluate, under whatever names."""
    train, evaluation = (images[images["split"] == split] for split in SPLITS)
    both = train.merge(evaluation, on="image_sha256", suffixes=("", "_evaluated"))
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


def _sorted(drawn: Iterable[Drawn]) -> list[Drawn]:
    return sorted(drawn, key=lambda d: d.record.image_id)


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
    root = getattr(dataset, "root", None)
    orientation = 1 if root is None else orientation_of(Path(root) / record.image)
    if orientation == 1:
        return ""
    return f" (the image {turned(orientation)}; if its label map was drawn on it turned, save the image turned)"


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
