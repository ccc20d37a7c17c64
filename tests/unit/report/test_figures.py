"""Figures: the same rows give the same bytes, and what is drawn are the numbers of the rows."""

import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from report_data import CLASSES, LEVELS, MODELS, classes_csv, measurement_rows, variant_rows

from patchprobe.analyses.patch_classification import report
from patchprobe.report import levels, style


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, as objects."""
    kept = []
    for module in (report, levels):
        monkeypatch.setattr(module, "save", lambda figure, outputs: kept.append(figure))
    return kept


def test_equal_rows_give_equal_files(tmp_path):
    rows = measurement_rows(models=MODELS[:2], corruptions={"blur": [3, 5]})
    classes = classes_csv(tmp_path / "classes.csv")
    for turn, part in (("a", rows), ("b", rows.sample(frac=1, random_state=3))):

        def files(name, turn=turn):
            return [tmp_path / turn / f"{name}.{suffix}" for suffix in ("svg", "png")]

        report.clean_scores_figure(part, files("clean"), models=MODELS)
        report.robustness_figure(part, files("robustness"), models=MODELS, dataset="camvid")
        report.class_iou_figure(part, files("classes"), models=MODELS, dataset="camvid", classes=classes)
    first = sorted((tmp_path / "a").iterdir())
    assert len(first) == 6
    for path in first:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
        if path.suffix == ".svg":
            assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
            assert "http-equiv" not in path.read_text() and "dc:date" not in path.read_text()
        else:
            with Image.open(path) as image:
                assert image.width > 600


def test_marks_and_whiskers_are_the_numbers_of_the_rows(drawn):
    rows = measurement_rows(datasets=("camvid", "cityscapes"), corruptions={})
    report.clean_scores_figure(rows, [], models=MODELS)
    panel = drawn[0].axes[2]  # mIoU of the second data set
    marks = [line for line in panel.lines if line.get_marker() != "None"]
    whiskers = [line for line in panel.lines if line.get_marker() == "None"]
    miou = rows.query("dataset == 'cityscapes' and metric == 'pixel_miou'")
    for method, filled in (("1-nn", True), ("linear", False)):
        expected = miou[miou["method"] == method].set_index("model").loc[MODELS]
        of = [line for line in marks if (line.get_markerfacecolor() != "white") == filled]
        assert np.allclose([line.get_xdata()[0] for line in of], expected["value"])
        heights = [line.get_ydata()[0] for line in of]
        ends = {round(line.get_ydata()[0], 6): line.get_xdata() for line in whiskers}
        assert np.allclose([ends[round(y, 6)] for y in heights], expected[["ci_low", "ci_high"]])
    assert [t.get_text() for t in panel.get_yticklabels()] == MODELS
    assert panel.get_xlabel() == "mIoU over pixels (fraction)"


@pytest.mark.parametrize(
    ("corruption", "ticks", "unit"),
    [
        ("blur", ["clean", "3", "5", "9", "17"], "kernel size (px)"),
        ("noise", ["clean", "10", "25", "50", "100"], "noise std (of 255)"),
        ("band-noise", ["clean", "0.05", "0.18", "0.43", "0.83"], "ring centre (of Nyquist)"),
        ("shift", ["clean", "1", "2", "3", "4"], "diagonal shift (px)"),
        ("rotate", ["clean", "5", "10", "15", "20"], "rotation (degrees)"),
        ("scale", ["0.8", "0.9", "clean", "1.1", "1.2"], "scale factor"),
        ("fog", ["clean", "1", "2"], "level"),
    ],
)
def test_curves_go_through_the_numbers_of_the_rows(drawn, corruption, ticks, unit):
    rows = measurement_rows(models=MODELS[:2], corruptions={corruption: LEVELS.get(corruption, [1, 2])})
    report.robustness_figure(rows, [], models=MODELS, dataset="camvid")
    for ax, method in zip(drawn[0].axes, ("1-nn", "linear"), strict=True):
        assert [t.get_text() for t in ax.get_xticklabels()] == ticks
        for line, model in zip(ax.lines, MODELS, strict=False):
            part = rows[(rows["model"] == model) & (rows["method"] == method) & (rows["metric"] == "pixel_miou")]
            value = {
                f"{x:g}" if c != "clean" else c: v
                for c, x, v in zip(part["corruption"], part["level"], part["value"], strict=True)
            }
            x, y = line.get_data()
            shown = {ticks[int(at)]: number for at, number in zip(x, y, strict=True) if not np.isnan(number)}
            assert shown == pytest.approx(value)
            assert np.isnan(y).any() == (corruption == "band-noise")  # clean apart from the line
    assert drawn[0].axes[-1].get_xlabel() == unit
    assert drawn[0].axes[0].get_ylabel() == "mIoU over pixels (fraction)"


@pytest.mark.parametrize(("variants", "down", "shown"), [(0, 1, 50), (6, 2, 23)])
def test_heat_map_of_many_classes_fits_a_page(drawn, tmp_path, variants, down, shown):
    """ADE20K has 150 classes: those with most pixels are shown, in official order, and the figure says how many."""
    names = [f"class {i}" for i in range(150)]
    rows = measurement_rows(corruptions={}, classes=names)
    rows = variant_rows(rows, "mae", [f"v{i}" for i in range(variants)])
    rows = variant_rows(rows, "simmim", [f"v{i}" for i in range(variants)])
    order = np.random.default_rng(0).permutation(150)  # of pixels, the evaluation split has i + 1 thousand of the i-th
    classes = classes_csv(tmp_path / "c.csv", [names[i] for i in order])
    report.class_iou_figure(rows, [tmp_path / "c.png"], models=MODELS, dataset="camvid", classes=classes)
    width, height = drawn[0].get_size_inches()
    assert width <= style.WIDTH and height <= style.PAGE
    panels = drawn[0].axes[: len(("1-nn", "linear"))]
    ticks = [tick.get_text() for tick in panels[0].get_yticklabels()]
    assert ticks == [names[i] for i in order[-len(ticks) :]] and abs(len(ticks) - shown) <= 2
    assert drawn[0].get_supxlabel() == f"The {len(ticks)} classes of 150 with most evaluation pixels"
    assert len({panel.get_position().x0.round(6) for panel in panels}) == (1 if down == 2 else 2)
    drawn[0].draw_without_rendering()
    for panel in panels:  # numbers neither touch each other nor leave their cells
        for text in panel.texts[::37]:
            box, cell = text.get_window_extent(), panel.transData.transform([[0, 0], [1, 1]])
            assert box.width <= abs(cell[1, 0] - cell[0, 0]) and box.height <= 1.05 * abs(cell[1, 1] - cell[0, 1])


def test_heat_map_shows_the_numbers_in_official_order(drawn, tmp_path):
    rows = measurement_rows(corruptions={})
    report.class_iou_figure(rows, [], models=MODELS, dataset="camvid", classes=classes_csv(tmp_path / "c.csv"))
    ax = drawn[0].axes[1]
    assert [t.get_text() for t in drawn[0].axes[0].get_yticklabels()] == CLASSES
    assert drawn[0].get_figwidth() <= style.WIDTH
    iou = rows.query("metric == 'pixel_iou' and method == 'linear'").pivot(
        index="class", columns="model", values="value"
    )
    assert np.allclose(ax.images[0].get_array().filled(np.nan), iou.loc[CLASSES, MODELS], equal_nan=True)
    assert len(ax.patches) == len(MODELS)  # the absent class is hatched


def test_one_model_without_intervals_and_long_names_are_drawn(tmp_path):
    names = ["vit_base_patch14_reg4_dinov2_lvd142m"]
    rows = measurement_rows(models=names, corruptions={"blur": [3]}, intervals=False)
    report.clean_scores_figure(rows, [tmp_path / "a.png"], models=names)
    report.robustness_figure(rows, [tmp_path / "b.png"], models=names, dataset="camvid")
    for name in ("a.png", "b.png"):
        with Image.open(tmp_path / name) as image:
            edges = np.asarray(image.convert("L"))
        assert edges[:, [0, -1]].min() > 200 and edges[[0, -1]].min() > 200  # nothing is cut off


def test_unknown_formats_are_refused(tmp_path):
    rows = measurement_rows(models=["dino"], corruptions={})
    with pytest.raises(ValueError, match=r"a\.gif: figures are written as \.svg and \.png"):
        report.clean_scores_figure(rows, [tmp_path / "a.png", tmp_path / "a.gif"], models=["dino"])
    assert list(tmp_path.iterdir()) == []


def test_a_model_looks_the_same_in_every_figure(drawn):
    rows = measurement_rows(corruptions={"blur": [3]})
    report.robustness_figure(rows, [], models=MODELS, dataset="camvid")
    report.robustness_figure(rows[rows["model"].isin(MODELS[3:])], [], models=MODELS, dataset="camvid")
    looks = [
        {
            text.get_text(): (line.get_color(), line.get_marker())
            for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
        }
        for legend in (figure.legends[0] for figure in drawn)
    ]
    assert set(looks[1]) == set(MODELS[3:])
    assert looks[1].items() <= looks[0].items()


def _linear(color):
    """sRGB hex to linear RGB (IEC 61966-2-1)."""
    c = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _lab(rgb):
    """Linear RGB to CIE L*a*b* under D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    f = np.cbrt(xyz / [0.9505, 1, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Full dichromacy after Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113, table 1.
SIGHT = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_differ_for_every_kind_of_colour_vision(sight):
    seen = [_lab(np.array(SIGHT[sight]) @ _linear(color)) for color in style.COLORS]
    # A difference of 10 is plain side by side (a just noticeable one is 2.3).
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 10


def test_colours_stand_out_from_white_paper():
    luminance = [float(np.array([0.2126, 0.7152, 0.0722]) @ _linear(color)) for color in style.COLORS]
    assert min(1.05 / (value + 0.05) for value in luminance) > 2.2


def test_more_models_than_colours_still_look_different():
    looks = style.styles([f"m{i}" for i in range(56)])
    assert len({(look.color, look.marker) for look in looks.values()}) == 56
