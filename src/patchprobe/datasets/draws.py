"""Few-shot subsets: seeded draws of images, of tiles, and of whole videos, over their sorted names."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from patchprobe.datasets.dataset import Classes, Record, Window
from patchprobe.errors import DataError
from patchprobe.seeds import generator


@dataclass(frozen=True)
class Drawn:
    """A drawn image, and the group or the class it was drawn for; empty where the draw is over all images."""

    record: Record
    drawn_for: str


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


def draw_videos(records: Sequence[Record], *, videos: int, seed: int, source: str) -> list[Drawn]:
    """Draw ``videos`` over their sorted names, and take all their frames; a video is a group of records.

    A larger draw with the same seed contains the smaller one. Returns the frames sorted by image_id. Raises DataError if there
    are fewer videos than asked for.
    """
    names = sorted({record.group for record in records})
    if videos > len(names):
        raise DataError(
            f"videos asks for {videos}, but split {source!r} has {len(names)}; lower videos or complete the split"
        )
    order = generator(seed, "draw", source, "videos").permutation(len(names))
    chosen = {names[i] for i in order[:videos]}
    return _sorted(Drawn(record, "") for record in records if record.group in chosen)


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


def draw_tiles(
    tiles: Sequence[Record],
    present: Mapping[str, Collection[int]],
    classes: Classes,
    *,
    tiles_per_class: int,
    seed: int,
    source: str,
) -> list[Drawn]:
    """Draw ``tiles_per_class`` tiles for each class in turn, of those that show it and that no class before it has taken.

    The class that the fewest tiles show comes first, of equals the smaller id, and draws over the sorted names of what is
    left; a class with fewer takes what there is (arXiv 2401.00463, section 4; the order is ours). ``present`` has the ids
    of the classes of every tile. Returns the tiles sorted by image_id.
    """
    names = dict(zip(classes.ids, classes.names, strict=True))
    showing: dict[int, list[Record]] = {}
    for tile in sorted(tiles, key=lambda tile: tile.image_id):
        for i in present[tile.image_id]:
            showing.setdefault(i, []).append(tile)
    taken: dict[str, Drawn] = {}
    for i in sorted(showing, key=lambda i: (len(showing[i]), i)):
        left = [tile for tile in showing[i] if tile.image_id not in taken]
        order = generator(seed, "draw", source, "tiles of class", i).permutation(len(left))
        taken |= {left[k].image_id: Drawn(left[k], names[i]) for k in order[:tiles_per_class]}
    return _sorted(taken.values())


def tile_id(image_id: str, window: Window) -> str:
    """Return the name of a part of an image as an image of its own, such as ``train/part1/7@x448y224``."""
    return f"{image_id}@x{window.left}y{window.top}"


def tile_records(records: Sequence[Record], names: Iterable[str], side: int) -> list[Record]:
    """Return the tiles of ``side`` px that have ``names`` (see :func:`tile_id`), of the images that there are, as records."""
    by_name = {record.image_id: record for record in records}
    found = []
    for name in names:
        image_id, _, place = name.rpartition("@")
        match = re.fullmatch(r"x(\d+)y(\d+)", place)
        if match and image_id in by_name:
            window = Window(int(match[2]), int(match[1]), side, side)
            found.append(replace(by_name[image_id], image_id=name, window=window))
    return found


def _sorted(drawn: Iterable[Drawn]) -> list[Drawn]:
    return sorted(drawn, key=lambda d: d.record.image_id)
