"""Patch retrieval against scikit-learn, counting by hand, and answers that are known beforehand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sklearn.neighbors import NearestNeighbors

from patchprobe import measurements
from patchprobe.analyses.opened import write_made
from patchprobe.analyses.patch_retrieval.measure import measure
from patchprobe.analyses.patch_retrieval.outcomes import OUTCOMES, Patches, Queries, elsewhere, outcomes, pixel_errors
from patchprobe.corruptions.corruption import open_corruption
from patchprobe.corruptions.geometric import warp_image, warp_label
from patchprobe.corruptions.kinds.blur import blur
from patchprobe.errors import DataError
from patchprobe.tiles.correspondence import NONE, corresponding_patches

SIDE, PATCH, TILES = 32, 8, 6
GRID = SIDE // PATCH
CLASSES = {
    "class_ids": [0, 1, 2, 3],
    "class_names": ["background", "plane", "jet", "boat"],
    "supercategories": ["background", "air", "air", "sea"],
    "background_id": 0,
    "void_id": 255,
}
OPTIONS = {
    "dataset": "planes",
    "model": "pixels",
    "variants": {},
    "recall_at": [5, 10],
    "near": 8.0,
    "examples": 2,
    "bootstrap": {"resamples": 100, "level": 0.95},
    "seed": 0,
    "threads": 2,
    "spec": "s",
}


def images(tiles=TILES):
    return np.random.default_rng(0).integers(0, 256, (tiles, SIDE, SIDE, 3), np.uint8)


def label_maps(tiles=TILES):
    """Each tile has a block of one object in its middle, and background around it."""
    maps = np.zeros((tiles, SIDE, SIDE), np.uint8)
    for tile in range(tiles):
        maps[tile, PATCH : 3 * PATCH, PATCH : 3 * PATCH] = 1 + tile % 3
    return maps


def coords(tiles, levels):
    names = [f"t{i}#r0c0" for i in range(tiles)]
    return {
        "level": np.asarray(levels, float),
        "tile": names,
        "image_id": ("tile", [f"t{i}" for i in range(tiles)]),
        "split": ("tile", ["evaluation"] * tiles),
    }


def tokens_of(pixels):
    """The pixels of every patch, as the raw-pixel control has them: (level, layer, tile, patch, feature)."""
    levels, tiles = pixels.shape[:2]
    cut = pixels.reshape(levels, tiles, GRID, PATCH, GRID, PATCH, 3).transpose(0, 1, 2, 4, 3, 5, 6)
    return cut.reshape(levels, 1, tiles, GRID * GRID, -1).astype(np.float32)


def token_store(pixels, levels):
    rows, columns = np.indices((GRID, GRID))
    return xr.Dataset(
        {"tokens": (("level", "layer", "tile", "patch", "feature"), tokens_of(pixels))},
        coords=coords(pixels.shape[1], levels)
        | {"layer": [1], "patch_row": ("patch", rows.ravel()), "patch_col": ("patch", columns.ravel())},
    )


def stores(kind=None, levels=(0.0,)):
    """A tile store and its token store, clean or under a corruption."""
    clean, maps = images(), label_maps()
    if kind is None:
        pixels, more, attrs = clean[None], {}, {"corruption": "clean"}
    else:
        corruption = open_corruption(kind, {"levels": list(levels), "apply": "tile"})
        pixels = np.stack(
            [
                [corruption.corrupt(tile, level, seed=0, key=str(i)) for i, tile in enumerate(clean)]
                for level in corruption.levels
            ]
        )
        attrs, more = {"corruption": kind}, {}
        if corruption.geometric:
            moved = [[corruption.move_label(m, level, 255) for m in maps] for level in corruption.levels]
            affines = np.stack([corruption.affine(level, SIDE, SIDE) for level in corruption.levels])
            more = {
                "label": (("level", "tile", "y", "x"), np.array(moved)),
                "affine": (("level", "affine_row", "affine_column"), affines),
            }
            attrs["affine_frame"] = "tile"
    tiles = xr.Dataset(
        {"image": (("level", "tile", "y", "x", "channel"), pixels), **more}, coords=coords(TILES, levels), attrs=attrs
    )
    return tiles, token_store(pixels, levels)


def label_store():
    return xr.Dataset(
        {"label": (("tile", "y", "x"), label_maps())}, coords={"tile": coords(TILES, [0])["tile"]}, attrs=CLASSES
    )


def measured(*versions, **options):
    clean, tokens = stores()
    made, texts = measure(
        tokens,
        [token for _, token in versions],
        clean,
        [tile for tile, _ in versions],
        label_store(),
        **OPTIONS | options,
    )
    return pd.DataFrame(made), texts


def value(rows, method, metric, at=0, **where):
    found = rows[(rows["method"] == method) & (rows["metric"] == metric) & (rows["at"] == at)]
    for column, wanted in where.items():
        found = found[found[column] == wanted]
    assert len(found) == 1
    return float(found["value"].iloc[0])


def test_clean_tiles_find_every_patch_itself():
    rows, _ = measured()
    assert value(rows, "retrieval", "retrieved_same_patch") == 1.0
    assert value(rows, "retrieval", "error_px") == value(rows, "retrieval", "error_px_least") == 0.0
    # Four patches of an object in each tile.
    assert set(rows["n"]) == {TILES * 4}
    assert value(rows, "retrieval-other-tiles", "ceiling") == 1.0


@pytest.mark.parametrize("kind", ["shift", "rotate", "scale"])
def test_a_move_by_nothing_changes_no_pixel_and_no_patch(kind):
    """Level 0 of what moves pixels is no level of a configuration, but has to be what clean tiles are."""
    level = {"shift": 0.0, "rotate": 0.0, "scale": 1.0}[kind]
    corruption = open_corruption(kind, {"levels": [{"shift": 1, "rotate": 1, "scale": 1.1}[kind]], "apply": "tile"})
    affine = corruption.affine(level, SIDE, SIDE)
    assert np.array_equal(warp_image(images()[0], affine), images()[0])
    assert np.array_equal(warp_label(label_maps()[0], affine, 255), label_maps()[0])
    assert np.array_equal(corresponding_patches(affine, (SIDE, SIDE), (GRID, GRID)), np.arange(GRID * GRID))


def test_noise_of_no_deviation_and_a_kernel_of_one_pixel_change_nothing():
    noise = open_corruption("noise", {"levels": [10], "apply": "image"})
    assert np.array_equal(noise.corrupt(images()[0], 0.0, seed=0, key="t"), images()[0])
    assert np.array_equal(blur(images()[0], 1), images()[0])


def test_a_shift_by_one_patch_has_the_answer_of_arithmetic():
    rows, _ = measured(stores("shift", [PATCH]))
    # The object moved to the four patches at the lower right, each of which is the patch before it on both axes, untouched.
    assert value(rows, "retrieval", "retrieved_same_patch", corruption="shift") == 1.0
    assert value(rows, "retrieval", "ceiling", corruption="shift") == 1.0
    assert value(rows, "retrieval", "error_px", corruption="shift") == 0.0


def by_scikit_learn(kind, level):
    """Outcomes and errors by brute force and loops, for both settings."""
    (_, tokens), (tiles, moved) = stores(), stores(kind, [level])
    bank = tokens.tokens.values[0, 0].reshape(TILES * GRID * GRID, -1).astype(np.float64)
    of_patch = np.array(
        [
            [
                np.bincount(m[y : y + PATCH, x : x + PATCH].ravel(), minlength=256).argmax()
                for y in range(0, SIDE, PATCH)
                for x in range(0, SIDE, PATCH)
            ]
            for m in label_maps()
        ]
    )
    maps = tiles.label.values[0] if "label" in tiles else label_maps()
    affine = tiles.affine.values[0] if "affine" in tiles else np.eye(2, 3)
    grades = {"retrieval": [], "retrieval-other-tiles": []}
    ranks = []
    for tile in range(TILES):
        for patch in range(GRID * GRID):
            row, column = divmod(patch, GRID)
            part = maps[tile, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
            ours = int(np.bincount(part.ravel(), minlength=256).argmax())
            if ours in (0, 255):
                continue
            x, y = affine @ [column * PATCH + 3.5, row * PATCH + 3.5, 1]
            inside = -0.5 <= x < SIDE - 0.5 and -0.5 <= y < SIDE - 0.5
            same = tile * 16 + int((y + 0.5) // PATCH) * GRID + int((x + 0.5) // PATCH) if inside else None
            query = moved.tokens.values[0, 0, tile, patch][None].astype(np.float64)
            order = NearestNeighbors(n_neighbors=len(bank), algorithm="brute").fit(bank).kneighbors(query)[1][0]
            ranks.append(list(order).index(same) if same is not None else len(bank))
            for method, pool in (("retrieval", order), ("retrieval-other-tiles", order[order // 16 != tile])):
                theirs = int(of_patch.ravel()[pool[0]])
                above = CLASSES["supercategories"]
                if pool[0] == same:
                    grades[method].append(0)
                elif theirs == ours:
                    grades[method].append(1)
                elif theirs == 0:
                    grades[method].append(4)
                else:
                    grades[method].append(2 if above[theirs] == above[ours] else 3)
    return {method: np.bincount(found, minlength=5) / len(found) for method, found in grades.items()}, np.array(ranks)


@pytest.mark.parametrize(
    "kind, level", [("shift", 3), ("rotate", 20), ("scale", 0.8), ("scale", 1.2), ("noise", 100), ("blur", 9)]
)
def test_outcomes_are_those_of_brute_force(kind, level):
    expected, ranks = by_scikit_learn(kind, level)
    rows, _ = measured(stores(kind, [level]))
    for method, shares in expected.items():
        got = [value(rows, method, metric, corruption=kind) for metric in OUTCOMES[method != "retrieval" :]]
        assert got == pytest.approx(shares[method != "retrieval" :])
        assert sum(got) == pytest.approx(1)
    for k in (5, 10):
        assert value(rows, "retrieval", "recall", at=k, corruption=kind) == pytest.approx((ranks < k).mean())
    assert value(rows, "retrieval", "ceiling", corruption=kind) == pytest.approx((ranks < len(images()) * 16).mean())


def test_outcomes_by_hand():
    patches = Patches(np.array([1, 0, 2, 3]), np.arange(256), 0, (1, 2), (8, 16))
    patches.supercategories[:4] = [0, 1, 1, 2]
    queries = Queries(*(np.array(v) for v in ([0] * 5, [0] * 5, [1] * 5, [0, 0, 0, 0, NONE])), np.zeros((5, 2)))
    assert outcomes(queries, np.array([0, 1, 2, 3, 0]), patches).tolist() == [0, 4, 2, 3, 1]
    assert elsewhere(queries, patches).tolist() == [False] * 5
    errors = pixel_errors(queries, np.array([0, 1, 2, 3, 0]), patches, np.array([[3.5, 3.5], [11.5, 3.5]]))
    assert errors[:2] == pytest.approx([np.hypot(3.5, 3.5), np.hypot(11.5, 3.5)])
    assert np.isinf(errors[2:4]).all() and np.isnan(errors[4])


def test_rows_are_measurements_and_examples_name_their_tiles(tmp_path: Path):
    variants = {"drop-3": {"transform": "drop-top-variance", "features": 3}}
    rows, texts = measured(stores("rotate", [5, 20]), stores("noise", [50]), variants=variants)
    write_made((rows.to_dict("records"), texts), {"rows": tmp_path / "rows.parquet", "examples": tmp_path / "e.csv"})
    read = measurements.read([tmp_path / "rows.parquet"])
    assert set(read["variant"]) == {"", "drop-3"} and set(read["corruption"]) == {"clean", "rotate", "noise"}
    examples = pd.read_csv(tmp_path / "e.csv")
    assert set(examples["tile"]) <= set(coords(TILES, [0])["tile"])
    hits = examples[examples["outcome"] == OUTCOMES[0]]
    assert (hits["tile"] == hits["retrieved_tile"]).all() and (hits["same_patch"] == hits["retrieved_patch"]).all()
    assert examples.groupby(["variant", "corruption", "level"]).size().max() <= 4


def test_intervals_are_over_tiles_and_hold_the_value():
    rows, _ = measured(stores("noise", [100]))
    shares = rows[rows["ci_low"].notna()]
    assert (
        len(shares)
        and ((shares["ci_low"] <= shares["value"] + 1e-12) & (shares["value"] <= shares["ci_high"] + 1e-12)).all()
    )


def test_levels_and_other_corruptions_change_nothing_of_a_level():
    alone, _ = measured(stores("rotate", [20]))
    beside, _ = measured(stores("noise", [50]), stores("rotate", [5, 20]))
    columns = ["method", "metric", "at", "value", "ci_low", "ci_high"]
    one = alone[(alone["corruption"] == "rotate")][columns].reset_index(drop=True)
    other = beside[(beside["corruption"] == "rotate") & (beside["level"] == 20)][columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(one, other)


def test_a_single_tile_and_tiles_without_objects_are_refused():
    clean, tokens = stores()
    labels = label_store()
    first = {"tile": [0]}
    with pytest.raises(DataError, match=r"datasets\.planes has a single tile"):
        measure(tokens.isel(first), [], clean.isel(first), [], labels.isel(first), **OPTIONS)
    with pytest.raises(DataError, match="no patch of any tile shows an object"):
        measure(tokens, [], clean, [], labels.assign(label=labels.label * 0), **OPTIONS)
