"""Objects of one frame matched with those of a later one, and what comes of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial.distance import cdist

# What is summed over queries; a query is an object of a frame whose identity is in the later frame too.
SUMS = (
    "queries",
    "right",
    "right_by_chance",
    "category",
    "category_by_chance",
    "wrong",
    "wrong_category",
    "wrong_category_by_chance",
)
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """Queries of a video at one distance in time: rows of its table of objects, int64 (n,) each.

    ``found`` is the row that each query found, ``right`` that of its own identity. ``sums`` float64 (n, len(SUMS)) has what
    each query adds to the sums.
    """

    query: Int64
    found: Int64
    right: Int64
    sums: npt.NDArray[np.float64]


def match(objects: pd.DataFrame, vectors: npt.NDArray[np.floating], apart: int, metric: str) -> Matches:
    """Match every object of a video with the nearest object ``apart`` frames later, if its identity is there too.

    ``objects`` are the rows of one video, with columns frame, object_id and category, sorted by frame and object_id;
    ``vectors`` (n, features) go with them. ``metric`` is ``euclidean`` or ``cosine``. Of objects equally near the first counts. A
    frame that is not in the table is matched with nothing.
    """
    frames = objects["frame"].to_numpy()
    ids, categories = (pd.factorize(objects[column])[0] for column in ("object_id", "category"))
    numbers, starts = np.unique(frames, return_index=True)
    rows = {int(n): np.arange(a, b) for n, a, b in zip(numbers, starts, [*starts[1:], len(frames)], strict=True)}
    parts = []
    for number, here in rows.items():
        there = rows.get(number + apart)
        if there is None:
            continue
        same = ids[here][:, None] == ids[there][None]
        asked = same.any(axis=1)
        if not asked.any():
            continue
        query, same = here[asked], same[asked]
        found = there[_distances(vectors[query], vectors[there], metric).argmin(axis=1)]
        parts.append((query, found, there[same.argmax(axis=1)], _chances(categories[query], categories[there])))
    if not parts:
        none = np.empty(0, np.int64)
        return Matches(none, none, none, np.empty((0, len(SUMS))))
    query, found, right, chances = (np.concatenate(part) for part in zip(*parts, strict=True))
    hit, alike = found == right, categories[found] == categories[query]
    columns = (np.ones(len(query)), hit, chances[:, 0], alike, chances[:, 1], ~hit, ~hit & alike, ~hit * chances[:, 2])
    return Matches(query, found, right, np.stack(columns, axis=1).astype(np.float64))


def groups(objects: pd.DataFrame, sizes: Sequence[float]) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    """Yield the groups that queries are counted in: what they are parted by, name of the group, and its rows of ``objects``.

    By category, by the size of the box as it is given, and, where that is known, by occlusion. All together come first,
    with empty names.
    """
    yield "", "", np.ones(len(objects), bool)
    for category in sorted(set(objects["category"])):
        yield "class", category, (objects["category"] == category).to_numpy()
    area = ((objects["x2"] - objects["x1"]) * (objects["y2"] - objects["y1"])).to_numpy()
    small, large = (side**2 for side in sizes)
    yield "size", "small", area < small
    yield "size", "medium", (area >= small) & (area < large)
    yield "size", "large", area >= large
    yield "occlusion", "visible", (objects["occluded"] == 0).to_numpy()
    yield "occlusion", "occluded", (objects["occluded"] == 1).to_numpy()


def _distances(
    queries: npt.NDArray[np.floating], others: npt.NDArray[np.floating], metric: str
) -> npt.NDArray[np.float64]:
    ours, theirs = queries.astype(np.float64), others.astype(np.float64)
    if metric == "cosine":
        # As Euclidean distances of directions; a vector of zeros has none and stays.
        ours, theirs = (
            one / np.maximum(np.linalg.norm(one, axis=1, keepdims=True), np.finfo(float).tiny) for one in (ours, theirs)
        )
    return np.asarray(cdist(ours, theirs, "sqeuclidean"))


def _chances(queries: Int64, others: Int64) -> npt.NDArray[np.float64]:
    """Return for each query the shares of chance, (n, 3): the right identity, the right category, that of a wrong object.

    An object is drawn among all ``others``; for the last, among those that are not the right one, of which there may be
    none: 0, since no match is wrong then.
    """
    alike = (queries[:, None] == others[None]).sum(axis=1)
    total = len(others)
    wrong = (alike - 1) / max(1, total - 1)
    return np.stack([np.full(len(queries), 1 / total), alike / total, wrong], axis=1)
