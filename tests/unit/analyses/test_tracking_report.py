"""Tables and figures of tracking from rows whose numbers are known."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from patchprobe import measurements
from patchprobe.analyses.tracking.report import figure, table, tracking_full_frames_figure, tracking_strips_sheet
from patchprobe.analyses.tracking.strips import _Frames, _telling
from patchprobe.errors import StoreError


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    found = []
    for model, share in (("vit", 0.75), ("pixels", 0.5)):
        common = {"dataset": "videos", "model": model, "variant": "", "layer": 12, "corruption": "clean", "level": 0.0}
        common |= {"protocol": "tracking-v1", "seed": 0, "spec": "x", "class": "", "ci_low": np.nan, "ci_high": np.nan}
        for method in ("tracking-tiles", "tracking-full-frames"):
            for axis, at in (("frames", 1.0), ("frames", 5.0), ("seconds", 0.5)):
                for metric, value in (
                    ("tracked_identity", share / at if at > 1 else share),
                    ("tracked_identity_chance", 0.125),
                    ("tracked_category", 0.875),
                    ("tracked_category_chance", 0.625),
                    ("tracked_category_of_wrong", 0.25),
                    ("tracked_category_of_wrong_chance", 0.375),
                ):
                    place = {"method": method, "axis": axis, "at": at, "metric": metric}
                    found.append({**common, **place, "value": value, "n": 8})
                for by, name in (("class", "car"), ("size", "small"), ("occlusion", "occluded")):
                    place = {"method": method, "axis": axis, "at": at, "class": name}
                    for metric, value in (
                        (f"tracked_identity_of_{by}", 0.3125),
                        (f"tracked_identity_chance_of_{by}", 0.0625),
                    ):
                        found.append({**common, **place, "metric": metric, "value": value, "n": 3})
    path = tmp_path / "rows.parquet"
    measurements.write(found, path)
    return measurements.read([path])


def test_tables_have_shares_beside_chance(rows: pd.DataFrame, tmp_path: Path) -> None:
    outputs = [tmp_path / f"tracking.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    table(rows, outputs, models=["pixels", "vit"], interval=0.95, sizes=[32, 96], frames=[1, 5, 30])
    text = outputs[1].read_text()
    assert (
        "## videos: right identity, tiles, by frames" in text
        and "## videos: right identity, full frames, by seconds" in text
    )
    lines = text[text.index("right identity, tiles, by frames") :].splitlines()[2:7]
    assert [line.replace("*", "") for line in lines[2:]] == [
        "| pixels | 0.500 | 0.100 |",
        "| vit | 0.750 | 0.150 |",
        "| (chance) | 0.125 | 0.125 |",
    ]
    assert "No object is in two frames that are 30 apart." in text and "without intervals" in text
    groups = text[text.index("right identity by kind of box, tiles") :].splitlines()[2:7]
    assert "category car" in groups[0] and groups[-1].replace("*", "") == "| (chance) | 0.062 | 0.062 | 0.062 |"
    assert len(pd.read_csv(io.StringIO(outputs[0].read_text()))) == len(rows)


def test_figures_are_drawn(rows: pd.DataFrame, tmp_path: Path) -> None:
    for draw in (figure, tracking_full_frames_figure):
        outputs = [tmp_path / f"{draw.__name__}.{suffix}" for suffix in ("svg", "png")]
        draw(rows, outputs, models=["pixels", "vit"], dataset="videos")
        assert Image.open(outputs[1]).size[0] == 1400 and all(path.stat().st_size > 5000 for path in outputs)


@pytest.fixture
def tiles() -> xr.Dataset:
    """Return a tile store of two frames of 16 x 24 px in 2 x 3 tiles; red is the row, green the column, blue the frame."""
    y, x = np.mgrid[:16, :24]
    frames = [np.stack([y, x, np.full_like(x, number)], axis=-1).astype(np.uint8) for number in (0, 1)]
    cut = [f[r * 8 : r * 8 + 8, c * 8 : c * 8 + 8] for f in frames for r in range(2) for c in range(3)]
    places = {"row": ("tile", [0, 0, 0, 1, 1, 1] * 2), "col": ("tile", [0, 1, 2] * 4)}
    names = {"image_id": ("tile", ["v/1"] * 6 + ["v/2"] * 6)}
    return xr.Dataset(
        {"image": (("level", "tile", "y", "x", "channel"), np.stack(cut)[None])}, coords={**places, **names}
    )


IMAGES = pd.DataFrame({"image_id": ["v/1", "v/2"], "height": 32, "width": 48})


def test_frames_are_put_together_and_boxes_lie_in_the_middle_of_pictures(tiles: xr.Dataset) -> None:
    frames = _Frames(tiles, IMAGES)
    whole = frames.whole("v/2")
    assert whole.shape == (16, 24, 3) and (whole[..., 0] == np.arange(16)[:, None]).all() and (whole[..., 2] == 1).all()
    pixels, (x1, y1, x2, y2) = frames.around("v/2", [16, 8, 32, 24])
    # 8 px of the stored frame are 1 / 1.4 of the picture, in its middle.
    assert (x2 - x1, y2 - y1) == pytest.approx((1 / 1.4, 1 / 1.4)) and x1 + x2 == pytest.approx(1)
    assert pixels[:, 0, 0].mean() == pytest.approx(7.5, abs=0.6)
    with pytest.raises(StoreError, match="no frame 'v/9'"):
        frames.around("v/9", [0, 0, 1, 1])


def test_strips_show_what_tells_models_apart(tiles: xr.Dataset, tmp_path: Path) -> None:
    paths = []
    for model, right in (("vit", (True, True, False)), ("pixels", (True, False, False))):
        lines = [
            {
                "model": model,
                "query": f"v/1 {i}",
                "video": "v",
                "image_id": "v/1",
                "object_id": str(i),
                "category": "car",
            }
            | {"x1": 1, "y1": 2, "x2": 9, "y2": 12, "frames": 1, "found_image_id": "v/2", "found_id": "1"}
            | {"found_x1": 20, "found_y1": 2, "found_x2": 60, "found_y2": 12, "right": hit}
            for i, hit in enumerate(right)
        ]
        paths.append(tmp_path / f"{model}.examples.csv")
        pd.DataFrame(lines).to_csv(paths[-1], index=False)
    assert _telling(pd.concat(pd.read_csv(path, dtype={"object_id": str}) for path in paths), 1) == ["v/1 1"]
    outputs = [tmp_path / "strips.svg", tmp_path / "strips.png"]
    tracking_strips_sheet(paths, tiles, IMAGES, outputs, models=["pixels", "vit"], number=2, dataset="videos")
    assert Image.open(outputs[1]).size[0] == 1400
    colors = Image.open(outputs[1]).convert("RGB").getcolors(1 << 20)
    assert {(0, 158, 115), (213, 94, 0)} <= {color for _, color in colors or []}
