"""Tables and figures of the variance spectrum and of the removal sweep: every number is one of the rows."""

import numpy as np
import pytest
import yaml
from matplotlib.collections import PolyCollection
from report_data import MODELS, classes_csv, measurement_rows, spectrum_rows, sweep_rows, variant_rows

from patchprobe import measurements
from patchprobe.analyses.patch_classification import report
from patchprobe.analyses.removal_sweep import report as removal_sweep
from patchprobe.analyses.variance_spectrum import report as variance_spectrum
from patchprobe.report import curves, levels, style
from patchprobe.report.selection import prepare


def cells(text, title):
    lines = text.split(f"## {title}\n")[1].split("\n## ")[0].splitlines()
    return [[c.strip().replace("**", "") for c in line.split("|")[1:-1]] for line in lines if line.startswith("|")]


@pytest.fixture
def drawn(monkeypatch):
    kept = []
    for module in (curves, levels, report, variance_spectrum):
        monkeypatch.setattr(module, "save", lambda figure, outputs: kept.append(figure))
    return kept


def test_made_up_rows_are_measurements(tmp_path):
    measurements.write(spectrum_rows(), tmp_path / "a.parquet")
    measurements.write(sweep_rows(), tmp_path / "b.parquet")
    measurements.write(variant_rows(measurement_rows(corruptions={}), "mae", ["v"]), tmp_path / "c.parquet")


def test_spectrum_table_is_arithmetic_on_the_variances(tmp_path):
    rows = spectrum_rows(MODELS[:2], ("camvid", "streets"))
    variance_spectrum.table(rows, [tmp_path / "t.md", tmp_path / "t.csv"], models=MODELS)
    for dataset in ("camvid", "streets"):
        found = cells((tmp_path / "t.md").read_text(), f"{dataset}: variance of features")
        for line, model in zip(found[2:], MODELS[:2], strict=True):
            values = rows.loc[(rows["dataset"] == dataset) & (rows["model"] == model), "value"].sort_values(
                ascending=False
            )
            assert line[:2] == [model, "768"]
            numbers = [values.iloc[0], values.iloc[1], values.median(), values.iloc[0] / values.median()]
            shown = [float(c.replace(",", "")) for c in line[2:6]]
            assert shown == pytest.approx(numbers, rel=6e-3)
            shares = [values.iloc[:count].sum() / values.sum() for count in (1, 5, 10, 200)]
            assert line[6:] == [f"{share:.3f}" for share in shares]
    assert (tmp_path / "t.csv").read_text().count("\n") == 1 + len(rows)


def test_few_features_have_no_share_of_more(tmp_path):
    variance_spectrum.table(spectrum_rows(["dino"], features=8, huge=1), [tmp_path / "t.md"], models=["dino"])
    line = cells((tmp_path / "t.md").read_text(), "camvid: variance of features")[2]
    assert line[-2:] == ["-", "-"] and line[1] == "8"


def test_features_that_do_not_vary_are_no_trouble(tmp_path, drawn):
    rows = spectrum_rows(["dino"], features=20)
    rows.loc[rows["feature"] > 4, "value"] = 0.0
    variance_spectrum.table(rows, [tmp_path / "t.md"], models=["dino"])
    assert cells((tmp_path / "t.md").read_text(), "camvid: variance of features")[2][4:6] == ["0", "-"]
    variance_spectrum.figure(rows, [], models=["dino"], dataset="camvid")
    assert len(drawn[0].axes[0].lines[0].get_ydata()) == 5


def test_spectrum_lines_are_the_sorted_variances(drawn):
    rows = spectrum_rows(datasets=("camvid", "streets"))
    variance_spectrum.figure(rows, [], models=MODELS, dataset="streets")
    ax = drawn[0].axes[0]
    assert ax.get_xscale() == ax.get_yscale() == "log"
    for line, model in zip(ax.lines, MODELS, strict=True):
        values = rows.loc[(rows["dataset"] == "streets") & (rows["model"] == model), "value"]
        np.testing.assert_array_equal(line.get_ydata(), sorted(values, reverse=True))
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 769))


def test_sweep_tables_hold_the_numbers_of_the_rows(tmp_path):
    rows = sweep_rows(fewer=("mae",))
    removal_sweep.table(rows, [tmp_path / "t.md", tmp_path / "t.tex", tmp_path / "t.html"], models=MODELS, interval=0.9)
    text = (tmp_path / "t.md").read_text()
    for metric, name in (("pixel_miou", "mIoU over pixels"), ("patch_accuracy", "accuracy over patches")):
        for method, shown in (("1-nn", "1-NN"), ("linear", "linear probe")):
            found = cells(text, f"camvid: {name} without the features of highest variance, {shown}")
            assert found[0] == ["removed", *MODELS] and [line[0] for line in found[2:]] == ["0", "10", "200"]
            part = rows[(rows["metric"] == metric) & (rows["method"] == method)].set_index(["at", "model"])
            for line in found[2:]:
                for model, cell in zip(MODELS, line[1:], strict=True):
                    key = (int(line[0]), model)
                    if key not in part.index:
                        assert cell == "-" and key == (200, "mae")
                        continue
                    row = part.loc[key]
                    assert cell == f"{row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
    assert "intervals hold 90 %" in text and text.count("## ") == 8


def test_sweep_lines_and_bands_are_the_numbers_of_the_rows(drawn):
    rows = sweep_rows(fewer=("mae",), datasets=("camvid", "streets"))
    removal_sweep.figure(rows, [], models=MODELS, dataset="streets")
    miou = rows.query("dataset == 'streets' and metric == 'pixel_miou'")
    for ax, method in zip(drawn[0].axes, ("1-nn", "linear"), strict=True):
        assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "10", "200"]
        bands = [c for c in ax.collections if isinstance(c, PolyCollection)]
        for line, band, model in zip(ax.lines, bands, MODELS, strict=True):
            part = miou[(miou["method"] == method) & (miou["model"] == model)].set_index("at")
            expected = part["value"].reindex([0, 10, 200])
            np.testing.assert_array_equal(line.get_ydata(), expected)
            assert np.isnan(expected.iloc[2]) == (model == "mae")
            corners = np.concatenate([path.vertices for path in band.get_paths()])
            for place, count in enumerate(part.index):
                ys = corners[corners[:, 0] == place, 1]
                assert (ys.min(), ys.max()) == pytest.approx((part.loc[count, "ci_low"], part.loc[count, "ci_high"]))


def test_equal_rows_give_equal_files(tmp_path):
    for name, module, rows in (
        ("spectrum", variance_spectrum, spectrum_rows(MODELS[:2])),
        ("sweep", removal_sweep, sweep_rows(models=MODELS[:2])),
    ):
        for turn, part in (("a", rows), ("b", rows.sample(frac=1, random_state=2))):
            outputs = [tmp_path / f"{turn}.{name}.{suffix}" for suffix in ("svg", "png")]
            module.figure(part, outputs, models=MODELS, dataset="camvid")
        for suffix in ("svg", "png"):
            assert (tmp_path / f"a.{name}.{suffix}").read_bytes() == (tmp_path / f"b.{name}.{suffix}").read_bytes()


def test_no_interval_draws_no_band(drawn):
    removal_sweep.figure(sweep_rows(intervals=False, models=["dino"]), [], models=["dino"], dataset="camvid")
    assert np.isfinite(drawn[0].axes[0].lines[0].get_ydata()).all()


def test_variants_look_like_their_model_but_for_the_line():
    rows = prepare(variant_rows(measurement_rows(corruptions={}), "mae", ["junk", "no-top"]))
    looks = style.looks(rows, MODELS)
    own, variants = looks["mae"], [looks["mae junk"], looks["mae no-top"]]
    assert {(v.color, v.marker) for v in variants} == {(own.color, own.marker)}
    assert len({str(look.line) for look in (own, *variants)}) == 3
    plain = style.looks(prepare(measurement_rows(corruptions={})), MODELS)
    assert {label: looks[label] for label in MODELS} == plain  # a variant changes no model's colour


def test_every_variant_of_the_paper_has_a_line_of_its_own(repository):
    names = list(yaml.safe_load((repository / "config/paper.yaml").read_text())["models"]["mae"]["variants"])
    looks = style.looks(prepare(variant_rows(measurement_rows(corruptions={}), "mae", names)), MODELS)
    assert len({str(looks[label].line) for label in ("mae", *(f"mae {name}" for name in names))}) == 1 + len(names) == 7


def test_variants_have_lines_of_their_own_in_tables_and_figures(tmp_path, drawn):
    rows = variant_rows(measurement_rows(corruptions={"blur": [3, 5]}), "mae", ["no-top"])
    report.table(
        rows,
        [tmp_path / "t.md"],
        models=MODELS,
        datasets=["camvid"],
        classes=[classes_csv(tmp_path / "classes.csv")],
        interval=0.95,
    )
    found = cells((tmp_path / "t.md").read_text(), "camvid: clean tiles")
    names = [line[0] for line in found[2:]]
    assert names == ["supervised", "dino", "dinov2", "ibot", "mae", "mae no-top", "simmim", "scalemae"]
    value = rows.query("variant == 'no-top' and metric == 'pixel_miou' and corruption == 'clean' and method == '1-nn'")[
        "value"
    ].item()
    assert found[2 + names.index("mae no-top")][1] == f"{value:.3f}"
    report.robustness_figure(rows, [], models=MODELS, dataset="camvid")
    lines = drawn[0].axes[0].lines
    assert len(lines) == 8 and lines[4].get_color() == lines[5].get_color()
    assert lines[4].get_linestyle() != lines[5].get_linestyle()
    assert lines[5].get_ydata()[0] == pytest.approx(value)
