"""The page of all tables in a real browser: order, filters, differences and links."""

import hashlib
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from browsing import PHONE, browser, opened
from playwright.sync_api import expect
from report_data import LEVELS, measurement_rows, sweep_rows, variant_rows

from patchprobe.analyses.declaring import analyses
from patchprobe.analyses.paired_differences.measure import COLUMNS as PAIR_COLUMNS
from patchprobe.analyses.results.report import page as write_page
from patchprobe.config.validation import load_schema, validate
from patchprobe.errors import StoreError
from patchprobe.report import pages

HOSTILE = "<script>alert(1)</script>"
VIEWS = ["dino", "mae", "mae less", "simmim"]
FIGURES = [{"title": "removal sweep", "dataset": "camvid", "path": "figures/removal_sweep.camvid.svg"}]


def pair_rows():
    """The pairs of some views, each in one direction, with intervals that follow from nothing else."""
    draw = np.random.default_rng(7)
    rows = []
    for first, other in [("dino", "mae"), ("dino", "mae less"), ("mae", "simmim")]:
        for method in ("1-nn", "linear"):
            low = draw.uniform(-0.2, 0.1)
            own = [*(f"{first} ".split(" ")[:2]), *(f"{other} ".split(" ")[:2])]
            found = [0.0, low, low + 0.05, low > 0 or low + 0.05 < 0, 4, 0, "s"]
            rows.append(["camvid", *own, method, "paired-differences-v1", "pixel_miou", *found])
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS))


@pytest.fixture(scope="module")
def frames():
    classes = ["road", HOSTILE, "10", "9"]
    few = {"noise": LEVELS["noise"], "scale": LEVELS["scale"]}
    scores = measurement_rows(["dino", "mae", "simmim"], corruptions=few, classes=classes)
    # Texts that look like numbers, numbers of any size.
    counts = pd.DataFrame({"name": ["10", "9", "a"], "pixels": [900, 1_000_000_007, 20], "share": ["", "1e-7", "0.5"]})
    sweep = sweep_rows(models=["dino", "mae"], counts=(0, 10))
    tables = {"patch_classification": variant_rows(scores, "mae", ["less"]), "paired_differences": pair_rows()}
    return tables | {"removal_sweep": sweep, "datasets": counts}


@pytest.fixture(scope="module")
def made(frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "results"
    (folder / "tables").mkdir(parents=True)
    paths, shown = [], []
    for name, frame in frames.items():
        paths.append(folder / f"tables/{name}.csv")
        frame.to_csv(paths[-1], index=False, lineterminator="\n")
        shown.append(
            {"title": f"the {name}", "section": HOSTILE, "figures": FIGURES if name == "removal_sweep" else []}
        )
    write(paths, folder / "pages/results.html", shown)
    return folder / "pages/results.html"


def write(paths, page, shown):
    also = [{"title": "explorer", "dataset": "camvid", "path": "pages/explorer.camvid.html"}]
    write_page(paths, [page], shown=shown, also=also, views=VIEWS, interval=0.9, look=[])


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture
def page(chromium, made):
    with opened(chromium, made) as found:
        yield found


def choose(page, name):
    labels = page.locator("#table option").all_text_contents()
    (label,) = [one for one in labels if one.startswith(f"the {name} (")]
    page.locator("#table").select_option(label=label)


def filter_by(page, column, value):
    field = page.locator(f"#filters label[data-name='{column}']").locator("select, input")
    if field.evaluate("field => field.localName") == "select":
        field.select_option(label=value)
    else:
        field.fill(value)


def column(page, name):
    """The texts of a column, as they stand there."""
    heads = page.locator("#rows thead th").evaluate_all("all => all.map(one => one.dataset.name)")
    return page.locator("#rows tbody tr").evaluate_all(
        "(all, at) => all.map(row => row.cells[at].textContent)", heads.index(name)
    )


def sort_by(page, name):
    page.locator(f"#rows th[data-name='{name}'] button").click()


def test_numbers_are_sorted_as_numbers_and_empty_ones_last(page, frames):
    choose(page, "datasets")
    sort_by(page, "pixels")
    assert column(page, "pixels") == ["20", "900", "1000000007"]
    assert page.locator("#rows th[data-name=pixels]").get_attribute("aria-sort") == "ascending"
    sort_by(page, "pixels")
    assert column(page, "pixels") == ["1000000007", "900", "20"]
    sort_by(page, "share")
    assert column(page, "share") == ["1.000e-7", "0.5", ""]
    sort_by(page, "share")
    assert column(page, "share") == ["0.5", "1.000e-7", ""]
    sort_by(page, "name")
    assert column(page, "name") == ["9", "10", "a"]
    choose(page, "patch_classification")
    page.locator("#reset").click()
    while page.locator("#more").is_visible():
        page.locator("#more").click()
    sort_by(page, "value")
    values = column(page, "value")
    known = np.sort(frames["patch_classification"]["value"].dropna())
    assert [float(one) for one in values[: len(known)]] == pytest.approx(known, abs=5.1e-5)
    assert set(values[len(known) :]) == {""} and len(values) == len(frames["patch_classification"])


def test_filters_leave_the_rows_that_pandas_leaves(page, frames):
    table = frames["patch_classification"]
    expect(page.locator("#count")).to_have_text(f"8 of {len(table)} rows")  # overall mIoU of clean tiles at first
    page.locator("#reset").click()
    expect(page.locator("#count")).to_have_text(f"{len(table)} of {len(table)} rows")
    assert page.locator("#rows tbody tr").count() == 100
    filter_by(page, "model", "mae")
    filter_by(page, "corruption", "noise")
    filter_by(page, "value", ">0.3")
    left = table.query("model == 'mae' and corruption == 'noise' and value > 0.3")
    expect(page.locator("#count")).to_have_text(f"{len(left)} of {len(table)} rows")
    said = page.locator("#constant").inner_text()
    assert "model mae" in said and "feature" not in said and ", at " not in said
    for typed, wanted in [
        ("<=0.25", table.value <= 0.25),
        ("0.1..0.2", table.value.between(0.1, 0.2)),
        ("no number", table.value < -9),
    ]:
        page.locator("#reset").click()
        filter_by(page, "value", typed)
        expect(page.locator("#count")).to_have_text(f"{wanted.sum()} of {len(table)} rows")
    page.locator("#reset").click()
    filter_by(page, "class", HOSTILE)
    expect(page.locator("#count")).to_have_text(f"{(table['class'] == HOSTILE).sum()} of {len(table)} rows")
    filter_by(page, "class", "(none)")
    expect(page.locator("#count")).to_have_text(f"{(table['class'] == '').sum()} of {len(table)} rows")
    page.locator("#reset").click()
    page.locator("#words").fill("SIMMIM noise iou")
    left = table.query("model == 'simmim' and corruption == 'noise' and metric.str.contains('iou')")
    expect(page.locator("#count")).to_have_text(f"{len(left)} of {len(table)} rows")


def test_differences_are_those_of_the_file_and_intervals_those_of_the_pairs(page, frames):
    table = frames["patch_classification"]
    scores = table[(table.corruption == "clean") & (table.metric == "pixel_miou") & (table["class"] == "")]
    scores = scores.set_index(["model", "variant", "method"])["value"]
    pairs = frames["paired_differences"].set_index(["model", "variant", "other_model", "other_variant", "method"])
    for reference in ("mae", "mae less", "dino"):
        page.locator("#reference").select_option(reference)
        own = tuple(f"{reference} ".split(" ")[:2])
        rows = zip(
            *(column(page, name) for name in ("model", "variant", "method", "difference", "difference_interval")),
            strict=True,
        )
        for model, variant, method, difference, interval in rows:
            if (model, variant) == own:
                assert (difference, interval) == ("compared with", "")
                continue
            exact = scores[model, variant, method] - scores[(*own, method)]
            assert float(difference.strip(" ▲▼")) == pytest.approx(exact, abs=5.1e-5)
            there, back = (model, variant, *own, method), (*own, model, variant, method)
            if there in pairs.index:
                low, high = pairs.loc[there, ["ci_low", "ci_high"]]
            elif back in pairs.index:
                low, high = -pairs.loc[back, "ci_high"], -pairs.loc[back, "ci_low"]
            else:  # nobody knows it
                assert interval == "" and not difference.endswith(("▲", "▼"))
                continue
            assert [float(end) for end in interval.strip("[]").split(", ")] == pytest.approx([low, high], abs=5.1e-5)
            assert difference.endswith("▲") == (low > 0) and difference.endswith("▼") == (high < 0)
    sort_by(page, "difference")
    numbers = [float(one.strip(" ▲▼")) if one != "compared with" else 0.0 for one in column(page, "difference")]
    assert numbers == sorted(numbers)


def test_no_interval_is_made_up_where_none_was_measured(page, frames):
    page.locator("#reference").select_option("mae")
    filter_by(page, "corruption", "noise")
    differences = column(page, "difference")
    assert len(differences) == 8 * 4 and set(column(page, "difference_interval")) == {""}
    assert not any("▲" in one or "▼" in one for one in differences)
    choose(page, "removal_sweep")
    assert page.locator("#reference").input_value() == "mae"
    assert set(column(page, "difference_interval")) == {""}
    sweep = frames["removal_sweep"].query("metric == 'pixel_miou' and `class` == '' and model == 'dino'")
    other = frames["removal_sweep"].query("metric == 'pixel_miou' and `class` == '' and model == 'mae'")
    expected = sweep.value.to_numpy() - other.value.to_numpy()
    found = [
        float(one)
        for one, model in zip(column(page, "difference"), column(page, "model"), strict=True)
        if model == "dino"
    ]
    assert found == pytest.approx(expected, abs=5.1e-5)
    choose(page, "datasets")
    assert page.locator("#reference").is_disabled()


def test_links_lead_beside_the_page_in_results_and_in_the_report(chromium, made, tmp_path):
    with opened(chromium, made) as page:
        choose(page, "removal_sweep")
        links = page.locator("#links a, #pages a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    beside = ["../figures/removal_sweep.camvid.svg", "../tables/removal_sweep.csv"]
    assert links == ["../pages/explorer.camvid.html", *beside]
    # Snakemake's report has each file in a folder that is named for its path; a test of the report looks whether they are there.
    name = hashlib.sha256(b"results/pages/results.html").hexdigest()[:16]
    report = tmp_path / f"report/data/raw/{name}/results.html"
    report.parent.mkdir(parents=True)
    shutil.copy(made, report)
    with opened(chromium, report) as page:
        choose(page, "removal_sweep")
        links = page.locator("#links a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
        folders = [hashlib.sha256(f"results/{path[3:]}".encode()).hexdigest()[:16] for path in beside]
        assert links == [f"../{folder}/{path.split('/')[-1]}" for folder, path in zip(folders, beside, strict=True)]
    # Anywhere else there is nothing to link to.
    shutil.copy(made, tmp_path / "results.html")
    with opened(chromium, tmp_path / "results.html") as page:
        choose(page, "removal_sweep")
        assert page.locator("a").count() == 0
        assert "results/figures/removal_sweep.camvid.svg" in page.locator("#links").inner_text()


def test_names_are_text_and_nothing_else(page, made):
    page.locator("#reset").click()
    page.locator("#words").fill("script")
    assert f"class {HOSTILE}" in page.locator("#constant").inner_text()
    page.locator("#words").fill("clean")
    assert HOSTILE in column(page, "class")
    assert page.evaluate("document.scripts.length") == 2
    assert "alert(" not in made.read_text()


def test_it_works_on_a_phone(chromium, made):
    with opened(chromium, made, PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator(".filters summary").tap()
        filter_by(page, "method", "linear")
        expect(page.locator("#count")).to_have_text(re.compile("^4 of "))
        page.locator("#rows th[data-name=value] button").tap()
        values = [float(one) for one in column(page, "value")]
        assert values == sorted(values)
        heights = page.locator("button:visible, select:visible").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect().height)"
        )
        assert min(heights) >= 44


def test_tables_that_do_not_fit_are_named(made, tmp_path, monkeypatch, caplog):
    paths = sorted((made.parents[1] / "tables").glob("*.csv"))
    shown = [{"title": path.stem, "section": "s", "figures": []} for path in paths]
    monkeypatch.setattr(pages, "LIMIT", made.stat().st_size - 3000)
    write(paths, tmp_path / "results.html", shown)
    assert "patch_classification.csv left out, since a page has" in caplog.text
    assert "paired_differences.csv left out" not in caplog.text


def test_a_damaged_table_is_named(made, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1\n")
    with pytest.raises(StoreError, match=r"t\.csv cannot be read \(1 values for 2 columns"):
        write([tmp_path / "t.csv"], tmp_path / "results.html", [{"title": "t", "section": "s", "figures": []}])


def test_it_has_every_table_of_the_run(repository):
    (results,) = [one for one in analyses() if one.name == "results"]
    (what,) = results.shows
    given = yaml.safe_load((repository / "config/config.yaml").read_text())
    schema = load_schema(repository / "config/schema/config.schema.yaml")
    config = validate(given, schema, registry=repository / "src/patchprobe/models/registry")
    tables = results.shown(config, what, [])["tables"]
    made = [path for one in analyses() for path in one.report_files(config)]
    assert sorted(tables) == sorted(
        path for path in made if path.startswith("results/tables/") and path.endswith(".csv")
    )
    notes = results.notes(config, what)
    assert len(notes["shown"]) == len(tables)
    named = {f"results/{figure['path']}" for one in notes["shown"] for figure in one["figures"]}
    assert named <= set(made) and len(named) > 15
    assert [page["path"] for page in notes["also"]] == ["pages/explorer.streets.html"]
