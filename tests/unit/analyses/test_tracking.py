"""Tracking against arithmetic by hand, planted feature maps and a video whose identities are swapped on purpose."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from patchprobe.analyses.tracking.matching import SUMS, groups, match
from patchprobe.analyses.tracking.measure import measure
from patchprobe.analyses.tracking.pooling import FeatureMaps, pooled, visible
from patchprobe.errors import DataError

OPTIONS: dict[str, Any] = {
    "dataset": "videos",
    "model": "planted",
    "variants": {},
    "frames": [1, 2],
    "seconds": [0.5],
    "distance": "euclidean",
    "sizes": [8, 16],
    "variance_frames": 4,
    "bootstrap": {"resamples": 200, "level": 0.95},
    "seed": 3,
    "spec": "x",
}


def coordinates(rows: int, columns: int, patch: float) -> np.ndarray:
    """Return a feature map whose two features are the centre of a cell in px, x first."""
    y, x = np.mgrid[:rows, :columns]
    return np.stack([(x + 0.5) * patch, (y + 0.5) * patch], axis=-1).astype(np.float32)


def store(maps: dict[str, np.ndarray], tiles: tuple[int, int]) -> xr.Dataset:
    """Return a token store that holds feature maps cut into tiles, as extraction lays them out."""
    names, tokens, frames = [], [], []
    for image_id, whole in maps.items():
        rows, columns = whole.shape[0] // tiles[0], whole.shape[1] // tiles[1]
        for r in range(tiles[0]):
            for c in range(tiles[1]):
                names.append(f"{image_id}#r{r}c{c}")
                frames.append(image_id)
                part = whole[r * rows : (r + 1) * rows, c * columns : (c + 1) * columns]
                tokens.append(part.reshape(rows * columns, -1))
    patch_row, patch_col = np.indices((rows, columns))
    return xr.Dataset(
        {"tokens": (("level", "layer", "tile", "patch", "feature"), np.stack(tokens)[None, None])},
        coords={
            "tile": ("tile", names),
            "image_id": ("tile", frames),
            "layer": ("layer", [12]),
            "patch_row": ("patch", patch_row.ravel()),
            "patch_col": ("patch", patch_col.ravel()),
        },
    )


def test_maps_put_tiles_where_they_were() -> None:
    whole = np.arange(6 * 8 * 2, dtype=np.float32).reshape(6, 8, 2)
    maps = FeatureMaps(store({"a": whole, "b": whole + 1000}, (3, 2)))
    assert maps.image_ids == ["a", "b"]
    np.testing.assert_array_equal(maps.read("a"), whole)
    np.testing.assert_array_equal(maps.read("b"), whole + 1000)


@pytest.mark.parametrize("patch", [8, 14, 16])
def test_pooling_a_map_of_coordinates_returns_the_centres_of_boxes(patch: int) -> None:
    """Boxes in one tile, across borders of tiles and patches, of a fraction of a patch and of no width."""
    rows, columns = 12, 20
    height, width = rows * patch, columns * patch
    maps = FeatureMaps(store({"a": coordinates(rows, columns, patch)}, (3, 4)))
    rng = np.random.default_rng(patch)
    # Between the centres of the outermost patches, where a map is defined.
    corners = np.sort(rng.uniform(patch / 2, [width - patch / 2, height - patch / 2], (200, 2, 2)), axis=1)
    boxes = corners.reshape(200, 4)
    boxes[0, 2], boxes[1, 3] = boxes[0, 0], boxes[1, 1]
    boxes[2] = [width / 4 - 3, height / 3 - 3, width / 4 + 5, height / 3 + 5]
    found = pooled(maps.read("a"), boxes, height, width)
    np.testing.assert_allclose(found, (boxes[:, :2] + boxes[:, 2:]) / 2, atol=1e-4 * patch)


def test_frames_that_were_resized_keep_boxes_in_their_own_pixels() -> None:
    """A frame of 90 x 200 px seen as 6 x 10 patches: a cell is 20 px wide and 15 px high."""
    whole = coordinates(6, 10, 1) * [20, 15]
    boxes = np.array([[30.0, 20.0, 75.0, 61.0], [11.0, 8.0, 180.0, 81.0]])
    found = pooled(whole.astype(np.float32), boxes, 90, 200)
    np.testing.assert_allclose(found, [[52.5, 40.5], [95.5, 44.5]], atol=1e-4)


def test_boxes_half_outside_are_pooled_over_their_part_inside() -> None:
    """The map is cell indices; beyond the centre of the outermost cell it stays at its value, as ROIAlign has it."""
    rows, columns = 6, 10
    whole = coordinates(rows, columns, 1)
    boxes = np.array([[-30.0, 20.0, 30.0, 40.0], [70.0, 50.0, 200.0, 100.0], [-5.0, -5.0, 105.0, 65.0]])
    found = pooled(whole, boxes, 60, 100)
    for box, got in zip(boxes, found, strict=True):
        for axis, (cells, side) in enumerate([(columns, 100), (rows, 60)]):
            low, high = np.clip(box[[axis, axis + 2]], 0, side) * cells / side
            samples = int(np.ceil(high - low))
            at = low + (np.arange(samples) + 0.5) * (high - low) / samples
            want = np.clip(at, 0.5, cells - 0.5).mean()
            assert got[axis] == pytest.approx(want, abs=1e-4)


def test_pooling_equals_a_box_that_was_cut_by_hand() -> None:
    whole = np.random.default_rng(0).standard_normal((6, 10, 5)).astype(np.float32)
    half, inside = np.array([[-40.0, 10.0, 40.0, 50.0]]), np.array([[0.0, 10.0, 40.0, 50.0]])
    np.testing.assert_array_equal(pooled(whole, half, 60, 100), pooled(whole, inside, 60, 100))


def test_only_boxes_without_any_part_in_the_frame_are_not_visible() -> None:
    boxes = np.array([[-9.0, 0, -1, 5], [-9, 0, 0, 5], [99, 0, 120, 5], [101, 0, 120, 5], [5, 61, 9, 70], [0, 0, 0, 0]])
    assert visible(boxes, 60, 100).tolist() == [False, True, True, False, False, True]


def objects(rows: list[tuple[int, str, str]]) -> pd.DataFrame:
    """Return a table of objects of one video: frame, object_id and category of each, in boxes of 10 px."""
    table = pd.DataFrame(rows, columns=["frame", "object_id", "category"])
    left = np.arange(len(table)) * 10.0
    return table.assign(
        video="v",
        image_id=["v/" + str(frame) for frame in table["frame"]],
        seconds=table["frame"] / 2,
        x1=left,
        y1=0.0,
        x2=left + 10,
        y2=10.0,
        occluded=np.nan,
    )


SWAPPED = objects(
    [
        *((0, one, kind) for one, kind in (("1", "car"), ("2", "car"), ("3", "bus"), ("4", "car"))),
        *((1, one, kind) for one, kind in (("1", "car"), ("2", "car"), ("3", "bus"))),
        *((2, one, kind) for one, kind in (("1", "car"), ("3", "bus"), ("5", "bus"))),
    ]
)
# Cars 1 and 2 exchange their looks in frame 1; in frame 2 bus 5 looks as bus 3 did, and 3 as nothing before.
LOOKS = np.array([[0.0], [10], [20], [30], [10], [0], [20], [0], [90], [20]])


def test_known_swaps_give_known_scores() -> None:
    """Of frame 0 the objects 1, 2 and 3 are asked for one frame later: 1 and 2 find each other, 3 itself, among 3 objects."""
    one = match(SWAPPED, LOOKS, 1, "euclidean")
    sums = dict(zip(SUMS, one.sums.sum(axis=0), strict=True))
    # Frame 0 to 1: 1 -> 2, 2 -> 1, 3 -> 3. Frame 1 to 2 (1 and 3 go on): 1, looking as 10, is as near to 1 (0) as to 5 (20):
    # the first counts; 3 (20) -> 5.
    assert sums["queries"] == 5 and sums["right"] == 2
    assert sums["right_by_chance"] == pytest.approx(5 / 3)
    assert sums["category"] == 5 and sums["wrong"] == 3 and sums["wrong_category"] == 3
    assert sums["category_by_chance"] == pytest.approx(2 / 3 + 2 / 3 + 1 / 3 + 1 / 3 + 2 / 3)
    assert sums["wrong_category_by_chance"] == pytest.approx(1 / 2 + 1 / 2 + 1 / 2)
    two = match(SWAPPED, LOOKS, 2, "euclidean")
    assert two.right.tolist() == [7, 8] and two.found.tolist() == [7, 9]
    assert match(SWAPPED, LOOKS, 3, "euclidean").sums.shape == (0, len(SUMS))


def test_at_no_distance_every_object_finds_itself() -> None:
    looks = np.random.default_rng(0).standard_normal((len(SWAPPED), 7))
    for metric in ("euclidean", "cosine"):
        found = match(SWAPPED, looks, 0, metric)
        assert len(found.query) == len(SWAPPED)
        np.testing.assert_array_equal(found.found, found.query)


def test_cosine_does_not_see_lengths() -> None:
    table = objects([(0, "1", "car"), (0, "2", "car"), (1, "1", "car"), (1, "2", "car")])
    looks = np.array([[1.0, 0], [0, 1], [50, 1], [0.01, 0.02]])
    assert match(table, looks, 1, "cosine").found.tolist() == [2, 3]
    assert match(table, looks, 1, "euclidean").found.tolist() == [3, 3]


def test_matches_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(5)
    table = objects([(f, str(i), "car") for f in range(6) for i in range(5) if rng.random() < 0.7])
    looks = rng.standard_normal((len(table), 4))
    found = match(table, looks, 2, "euclidean")
    got = dict(zip(found.query.tolist(), found.found.tolist(), strict=True))
    want = {}
    for i, row in table.iterrows():
        later = table[table["frame"] == row["frame"] + 2]
        if row["object_id"] in set(later["object_id"]):
            want[i] = min(later.index, key=lambda j: (((looks[j] - looks[i]) ** 2).sum(), j))
    assert got == want and len(want) > 5


def test_groups_part_by_category_size_and_occlusion() -> None:
    table = objects([(0, "1", "car"), (0, "2", "bus"), (0, "3", "car")])
    table["x2"] = table["x1"] + [5, 20, 30]
    table["occluded"] = [0.0, 1.0, np.nan]
    found = {(by, name): rows.tolist() for by, name, rows in groups(table, [8, 16])}
    assert found["", ""] == [True, True, True]
    assert found["class", "car"] == [True, False, True]
    assert found["size", "small"] == [True, False, False] and found["size", "large"] == [False, False, True]
    assert found["size", "medium"] == [False, True, False]
    assert found["occlusion", "occluded"] == [False, True, False] and found["occlusion", "visible"][2] is False


def planted(frames: int = 6, videos: int = 3) -> tuple[xr.Dataset, pd.DataFrame, pd.DataFrame]:
    """Return token store, images and objects of videos in which object i is where its tokens are i."""
    maps, rows = {}, []
    for video in range(videos):
        for frame in range(frames):
            image_id = f"v{video}/{frame:07d}"
            whole = np.zeros((4, 8, 3), np.float32)
            for number in range(3):
                column = (2 * number + frame) % 7
                whole[1:3, column : column + 2, number] = 10 + number
                x1, y1, x2, y2 = column * 8.0, 8.0, column * 8 + 16.0, 24.0
                kind = ("car", "car", "bus")[number]
                place = {"video": f"v{video}", "image_id": image_id, "frame": frame, "seconds": frame / 2}
                box = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "occluded": float(number == 0)}
                rows.append({**place, "object_id": str(number), "category": kind, "supercategory": "vehicle", **box})
            maps[image_id] = whole
    images = pd.DataFrame({"image_id": list(maps), "height": 32, "width": 64})
    return store(maps, (1, 2)), images, pd.DataFrame(rows)


def test_measure_finds_planted_identities() -> None:
    tokens, images, table = planted()
    rows, also = measure(tokens, [tokens], images, table, **OPTIONS)
    found = pd.DataFrame(rows)
    assert set(found["method"]) == {"tracking-tiles", "tracking-full-frames"}
    own = found[(found["method"] == "tracking-tiles") & (found["axis"] == "frames")].set_index(
        ["metric", "class", "at"]
    )
    # Objects cover one another where they pass, so that not all keep their looks; by hand, of those in frames 0 to 1.
    assert own.loc[("tracked_identity", "", 1.0), "n"] == 3 * 5 * 3
    assert own.loc[("tracked_identity", "", 1.0), "value"] > own.loc[("tracked_identity_chance", "", 1.0), "value"]
    assert own.loc[("tracked_identity_chance", "", 2.0), "value"] == pytest.approx(1 / 3)
    assert own.loc[("tracked_category_chance", "", 2.0), "value"] == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)
    assert own.loc[("tracked_identity_of_occlusion", "occluded", 2.0), "n"] == 3 * 4
    # Half a second is one frame of these videos.
    seconds = found[(found["axis"] == "seconds") & (found["metric"] == "tracked_identity") & (found["class"] == "")]
    assert seconds["value"].tolist() == [own.loc[("tracked_identity", "", 1.0), "value"]] * 2
    assert also["examples"].startswith("model,query,video,image_id,object_id,category,")


def test_intervals_are_over_videos_and_one_video_has_none() -> None:
    tokens, images, table = planted(videos=1)
    rows, _ = measure(tokens, [], images, table, **OPTIONS)
    assert all(np.isnan(row["ci_low"]) for row in rows)


def test_videos_too_short_for_any_distance_are_named() -> None:
    tokens, images, table = planted(frames=1)
    with pytest.raises(DataError, match=r"no identity is in two frames that are 1, 2 apart"):
        measure(tokens, [], images, table, **OPTIONS)


def test_boxes_outside_their_frame_are_left_out_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    tokens, images, table = planted()
    stray = table.iloc[[0]].assign(x1=100.0, x2=120.0, object_id="9")
    rows, _ = measure(tokens, [], images, pd.concat([table, stray]), **OPTIONS)
    assert "1 boxes lie outside their frames" in caplog.text
    assert rows == measure(tokens, [], images, table, **OPTIONS)[0]


def test_boxes_that_are_all_outside_are_named_as_such() -> None:
    tokens, images, table = planted()
    with pytest.raises(DataError, match="no box lies inside its frame"):
        measure(tokens, [], images, table.assign(x1=500.0, x2=510.0), **OPTIONS)
