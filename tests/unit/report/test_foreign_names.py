"""Classes, models and data sets of hostile names: pages and figures show them, and mean nothing else by them."""

import html.parser
import re
import xml.etree.ElementTree as ElementTree

import matplotlib.mathtext
import pandas
import pytest
import report_data
from report_data import (
    classes_csv,
    corruption_sheet,
    label_stores,
    measurement_rows,
    segmentation_sheet,
    spectrum_rows,
    sweep_rows,
    variant_rows,
)

from patchprobe.analyses.layers import report as layers
from patchprobe.analyses.patch_classification import report
from patchprobe.analyses.removal_sweep import report as removal_sweep
from patchprobe.analyses.variance_spectrum import report as variance_spectrum
from patchprobe.report import formats
from patchprobe.report.formats import Score, Table
from patchprobe.report.style import plain

NAMES = [
    "a $ b",
    "$x$",
    r"$\frac$",
    r"\$",
    r"$\undefined{$ and $",
    "_background_",
    "*",
    "**[link](javascript:alert(1))**",
    "<script>alert(1)</script>",
    "<!-- -- -->",
    "a|b||c",
    "two\nlines | of\r\nthem",
    "\x1b[2J\u202e\x00\x0b",
    "&amp; ]]> \"'",
    r"\input{/etc/passwd} % ^^5c #1 ~ {",
    "long " * 300,
]


@pytest.fixture
def drawn(monkeypatch):
    """What matplotlib has parsed as mathematics, its own powers of ten left out."""
    found = []
    parse = matplotlib.mathtext.MathTextParser.parse

    def spy(self, text, *args, **options):
        if not text.startswith(r"$\mathdefault{"):
            found.append(text)
        return parse(self, text, *args, **options)

    monkeypatch.setattr(matplotlib.mathtext.MathTextParser, "parse", spy)
    return found


def outputs(tmp_path):
    return [tmp_path / "figure.svg", tmp_path / "figure.png"]


@pytest.fixture(params=["classes", "models", "datasets", "variants"])
def hostile(request, tmp_path):
    """Rows in which one kind of name is hostile, with models, data set and classes table."""
    names = {"classes": report_data.CLASSES[:3], "models": ["mae"], "datasets": ["camvid"]}
    if request.param in names:
        names[request.param] = NAMES[:1] if request.param == "datasets" else NAMES
    if request.param == "datasets":
        names["datasets"] = [NAMES[2]]
    rows = measurement_rows(names["models"], names["datasets"], {"blur": [3, 5]}, [*names["classes"], "absent"])
    if request.param == "variants":
        rows = variant_rows(rows, "mae", NAMES)
    return rows, names["models"], names["datasets"][0], classes_csv(tmp_path / "classes.csv", names["classes"])


def test_figures_draw_names_as_they_are(hostile, drawn, tmp_path):
    rows, models, dataset, classes = hostile
    report.clean_scores_figure(rows, outputs(tmp_path), models=models)
    ElementTree.parse(tmp_path / "figure.svg")
    report.robustness_figure(rows, outputs(tmp_path), models=models, dataset=dataset)
    ElementTree.parse(tmp_path / "figure.svg")
    report.class_iou_figure(rows, outputs(tmp_path), models=models, dataset=dataset, classes=classes)
    ElementTree.parse(tmp_path / "figure.svg")
    assert not drawn


def test_curves_draw_names_as_they_are(drawn, tmp_path):
    removal_sweep.figure(sweep_rows(models=NAMES), outputs(tmp_path), models=NAMES, dataset="camvid")
    ElementTree.parse(tmp_path / "figure.svg")
    variance_spectrum.figure(spectrum_rows(models=NAMES), outputs(tmp_path), models=NAMES, dataset="camvid")
    ElementTree.parse(tmp_path / "figure.svg")
    rows = measurement_rows(NAMES, corruptions={}).assign(protocol="layers-v1")
    layers.figure(rows[rows["method"] == "1-nn"], outputs(tmp_path), models=NAMES, dataset="camvid")
    ElementTree.parse(tmp_path / "figure.svg")
    assert not drawn


def test_sheets_draw_names_as_they_are(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(report_data, "CLASSES", NAMES)
    paths = label_stores(tmp_path, {"blur": [3]}, models=["mae"])
    predictions = {r"$\frac$ mae": paths["predictions"]["mae"]}
    segmentation_sheet(paths["tiles"]["clean"], paths["labels"], predictions, outputs(tmp_path), images=1)
    ElementTree.parse(tmp_path / "figure.svg")
    corruption_sheet(paths["tiles"], paths["labels"], outputs(tmp_path), images=1)
    assert not drawn


@pytest.mark.parametrize("name", [name for name in NAMES if name.isprintable() and len(name) < 80])
def test_a_drawn_name_is_the_name(name):
    """Matplotlib takes text without mathematics literally, but for the backslash before a dollar."""
    assert not matplotlib.cbook.is_math_text(plain(name))
    assert plain(name).replace(r"\$", "$") == name


class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.heads, self.reading = set(), [], False

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.reading = tag == "th"
        if self.reading:
            self.heads.append("")

    def handle_endtag(self, tag):
        self.reading = self.reading and tag != "th"

    def handle_data(self, data):
        if self.reading:
            self.heads[-1] += data


def table():
    rows = [(name, [Score(0.5), 3, name]) for name in NAMES]
    columns = [("group | $", name) for name in NAMES[:3]]
    return Table("name}{\\", NAMES[8], NAMES[11], columns, rows, NAMES)


def test_html_shows_names_and_has_no_element_of_theirs():
    text = formats.page(NAMES[8], [table()])
    reader = Reader()
    reader.feed(text)
    assert "script" not in reader.tags and "link" not in reader.tags
    assert reader.heads[-len(NAMES) :][8] == NAMES[8]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)


def test_markdown_keeps_a_row_in_its_line_and_its_cells():
    lines = [line for line in formats.markdown(NAMES[8], [table()]).split("\n") if line.startswith("|")]
    assert len(lines) == 2 + len(NAMES)
    for line in lines:
        # A pipe is one of the text if an odd number of backslashes comes before it.
        bare = re.sub(r"\\.", "", line)
        assert bare.count("|") == 5
        assert not re.search(r"[<>\[\]`$~&]", bare.replace("[", "", 0) if "---" not in line else "")
        assert not re.search(r"[\x00-\x1f\x7f\u202e]", line)


def test_latex_has_no_command_and_no_line_of_theirs():
    text = formats.latex([table()])
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    assert r"\input{" not in text and "\\label{tab:name---}" in text
    # Every line ends as ours do, so no name has a line of its own.
    for line in text.splitlines():
        assert not line.startswith("*")
        bare = re.sub(r"\\[\\&%$#_{}]", "", line)
        assert line.startswith("%") or not re.search(r"[%$#~^]", bare)


def test_csv_is_data_and_stays_as_it_is(tmp_path):
    rows = measurement_rows(["mae"], ["camvid"], {}, ["=1+1", "@sum", *NAMES[:12], "absent"])
    path = tmp_path / "t.csv"
    report.table(
        rows,
        [path],
        models=["mae"],
        datasets=["camvid"],
        classes=[classes_csv(tmp_path / "c.csv", ["=1+1"])],
        interval=0.95,
    )
    assert set(pandas.read_csv(path, keep_default_na=False)["class"]) == {"", *rows["class"]}
