"""Table, curves and sheet of reconstruction: every number and picture is one that was measured."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from patchprobe import measurements
from patchprobe.analyses.reconstruction import report, sheet

TABLE = ["", "zero-top-variance-200", "zero-random-200", "keep-top-variance-200", "zero-all"]
SETTINGS = [*TABLE[:-1], "zero-top-variance-600", "zero-random-600", "keep-top-variance-600", "zero-all"]
METRICS = ["mse", "mse_hidden", "mse_normalised", "psnr", "ssim"]
PAPER = [
    {"model": "mae", "masked": 0.0, "setting": "", "mse_normalised": 0.163, "psnr": 25.666, "ssim": 0.78},
    {"model": "mae", "masked": 0.0, "setting": TABLE[3], "mse_normalised": 1.173, "psnr": 15.35, "ssim": -0.074},
]


def made_up_rows(models=("mae", "simmim"), shares=(0.0, 0.75), intervals=True):
    draw = np.random.default_rng(0)
    rows = []
    for model in models:
        for share in shares:
            for setting in SETTINGS:
                for metric in METRICS if share else [metric for metric in METRICS if metric != "mse_hidden"]:
                    value = draw.uniform(10, 30) if metric == "psnr" else draw.uniform(0, 1)
                    half = 0.01 if intervals else np.nan
                    rows.append(
                        {
                            "dataset": "towns", "model": model, "variant": setting, "axis": "masked_patches", "at": share,
                            "layer": 12, "corruption": "clean", "level": 0.0, "method": "decoder",
                            "protocol": "reconstruction-v1", "class": "", "feature": -1, "other_dataset": "",
                            "metric": metric, "value": value, "ci_low": value - half, "ci_high": value + half,
                            "n": 64, "seed": 0, "spec": "ab12",
                        }
                    )  # fmt: skip
    return pd.DataFrame(rows)


def made_up_store(model, shares=(0.0, 0.75), examples=2, side=16, seed=0):
    draw = np.random.default_rng(seed)
    dims = ("masked", "shown", "example", "y", "x", "channel")
    shape = (len(shares), len(TABLE), examples, side, side, 3)
    hidden = np.zeros((len(shares), examples, 16), np.uint8)
    for m, share in enumerate(shares):
        hidden[m, :, : int(16 * share)] = 1
    tiles = [f"i{e}#0" for e in range(examples)]
    return xr.Dataset(
        {
            "score": (("metric", "masked", "setting", "tile"), draw.uniform(5, 40, (5, len(shares), 8, examples + 3))),
            "original": (dims[2:], draw.integers(0, 256, shape[2:], np.uint8)),
            "picture": (dims, draw.integers(0, 256, shape, np.uint8)),
            "hidden": (("masked", "example", "patch"), hidden),
        },
        coords={
            "metric": METRICS,
            "masked": list(shares),
            "setting": SETTINGS,
            "shown": TABLE,
            "tile": ["x", "y", *tiles, "z"],
            "example": tiles,
            "patch_row": ("patch", np.arange(16) // 4),
            "patch_col": ("patch", np.arange(16) % 4),
        },
        attrs={"model": model, "block": 12},
    )


def cells(text, title):
    lines = text.split(f"## {title}\n")[1].split("\n## ")[0].splitlines()
    return [[c.strip() for c in line.replace("\\", "").split("|")[1:-1]] for line in lines if line.startswith("|")]


@pytest.fixture
def drawn(monkeypatch):
    kept = []
    for module in (report, sheet):
        monkeypatch.setattr(module, "save", lambda figure, outputs: kept.append(figure))
    return kept


def write(rows, folder, paper=(), models=("mae", "simmim"), **options):
    stores = [made_up_store(model) for model in sorted(set(rows["model"]))]
    outputs = [folder / f"t.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    options = {"interval": 0.95, "clip": True, "scope": "all"} | options
    report.table(rows, stores, outputs, models=models, paper=paper, **options)
    return (folder / "t.md").read_text()


def test_the_table_holds_the_numbers_of_the_rows(tmp_path):
    rows = made_up_rows()
    measurements.write(rows, tmp_path / "rows.parquet")
    text = write(measurements.read([tmp_path / "rows.parquet"]), tmp_path)
    assert len(pd.read_csv(tmp_path / "t.csv", keep_default_na=False)) == len(rows)
    for title, share in (("no patch masked", 0.0), ("75 % of the patches masked", 0.75)):
        head, _, *lines = cells(text, f"towns: reconstruction, {title}")
        names = ["MSE, normalised", "PSNR (dB)", "SSIM", "MSE, pixels", *(["MSE, hidden patches"] if share else [])]
        assert head == ["model, zeroed features", *names]
        assert [line[0] for line in lines] == [f"{m} {name}".strip() for m in ("mae", "simmim") for name in TABLE]
        own = rows[rows["at"] == share].set_index(["model", "variant", "metric"])
        for line in lines:
            model, _, setting = line[0].partition(" ")
            for cell, metric in zip(line[1:], ("mse_normalised", "psnr", "ssim", "mse", "mse_hidden"), strict=False):
                row, digits = own.loc[(model, setting, metric)], 4 if metric in ("mse", "mse_hidden") else 3
                numbers = [f"{row[column]:.{digits}f}" for column in ("value", "ci_low", "ci_high")]
                assert cell == f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"
    assert "64 clean evaluation tiles; intervals hold 95 %" in text and "paper" not in text.lower()
    assert "reconstructions clipped" in text and "in all tokens" in text


def test_the_papers_values_stand_beside_ours(tmp_path):
    text = write(made_up_rows(), tmp_path, PAPER)
    head, _, *lines = cells(text, "towns: reconstruction, no patch masked")
    assert head[1:7] == [
        f"{name} {of}" for name in ("MSE, normalised", "PSNR (dB)", "SSIM") for of in ("ours", "paper")
    ]
    beside = {line[0]: line[2:7:2] for line in lines}
    assert beside["mae"] == ["0.163", "25.666", "0.780"]
    assert beside["mae keep-top-variance-200"] == ["1.173", "15.350", "-0.074"]
    assert beside["mae zero-random-200"] == beside["simmim"] == ["-", "-", "-"]
    assert "Paper: arXiv 2401.00463, table 4" in text
    # Of a share that the paper has nothing of, there are no such columns.
    head = cells(text, "towns: reconstruction, 75 % of the patches masked")[0]
    assert "paper" not in " ".join(head)


def test_tables_say_how_pixels_and_tokens_were_treated(tmp_path):
    text = write(made_up_rows(intervals=False), tmp_path, clip=False, scope="patch")
    assert "reconstructions not clipped" in text and "in the tokens of patches alone" in text
    assert "nan" not in text


def test_curves_are_the_rows(drawn):
    rows = made_up_rows()
    report.figure(rows, [], models=["mae", "simmim"], dataset="towns")
    axes = drawn[0].axes
    assert len(axes) == 6
    for ax, (metric, share) in zip(
        axes, [(m, s) for m in ("psnr", "ssim", "mse_normalised") for s in (0.0, 0.75)], strict=True
    ):
        own = rows[(rows["metric"] == metric) & (rows["at"] == share)].set_index(["model", "variant"])["value"]
        expected = []
        for model in ("mae", "simmim"):
            expected.append([own[model, "zero-all"]] * 2)
            for kind in ("zero-top-variance", "zero-random", "keep-top-variance"):
                start = [] if kind.startswith("keep") else [own[model, ""]]
                expected.append([*start, own[model, f"{kind}-200"], own[model, f"{kind}-600"]])
        found = [list(line.get_ydata()) for line in ax.lines]
        assert found == expected
        assert [list(line.get_xdata()) for line in ax.lines[1:4]] == [[0, 1, 2], [0, 1, 2], [1, 2]]
    for ax in axes[-2:]:
        assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "200", "600"]


def _pictures(figure):
    """Pictures in reading order."""
    panels = [
        (round(-ax.get_position().y0, 4), ax.get_position().x0, np.asarray(ax.images[0].get_array()))
        for ax in figure.axes
    ]
    return [panel[2] for panel in sorted(panels, key=lambda panel: panel[:2])]


def test_the_sheet_shows_what_the_encoder_saw_and_the_pictures(drawn):
    stores = {"simmim": made_up_store("simmim", seed=1), "mae": made_up_store("mae", seed=2)}
    report.reconstruction_sheet(list(stores.values()), [], models=["mae", "simmim"], dataset="towns")
    (figure,) = drawn
    found, place = _pictures(figure), 0
    words = [text.get_text() for text in figure.texts]
    for model in ("mae", "simmim"):
        store = stores[model]
        ratios = store["score"].sel(metric="psnr").sel(tile=store["example"].values, setting=TABLE).values
        for e in range(2):
            for m in range(2):
                seen = store["original"].values[e].copy()
                if m:
                    # The first three rows of patches, of four by four pixels.
                    seen[:12] = 128
                np.testing.assert_array_equal(found[place], seen)
                np.testing.assert_array_equal(np.stack(found[place + 1 : place + 6]), store["picture"].values[m, :, e])
                assert all(f"{ratio:.1f} dB" in words for ratio in ratios[m, :, e])
                place += 6
    assert place == len(found)
    assert words.count("0 % masked") == words.count("75 % masked") == 4
    assert {"seen by the encoder", "no feature zeroed", "200 of highest\nvariance zeroed", "all zeroed"} <= set(words)


def test_a_tile_that_was_never_seen_whole_stands_before_what_was_seen(drawn):
    store = made_up_store("mae", shares=(0.5,), examples=1)
    report.reconstruction_sheet([store], [], models=["mae"], dataset="towns")
    found = _pictures(drawn[0])
    assert len(found) == 7
    np.testing.assert_array_equal(found[0], store["original"].values[0])
    assert (found[1][:8] == 128).all() and (found[1][8:] == found[0][8:]).all()


def test_figures_are_written(tmp_path):
    outputs = [tmp_path / "a.svg", tmp_path / "a.png"]
    for make, given in ((report.figure, made_up_rows()), (report.reconstruction_sheet, [made_up_store("mae")])):
        make(given, outputs, models=["mae"], dataset="towns")
        assert all(path.stat().st_size > 10_000 for path in outputs)
