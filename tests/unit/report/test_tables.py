"""Tables: every printed number is found again in the rows, in each format."""

import html.parser
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from report_data import CLASSES, LEVELS, MODELS, classes_csv, label_stores, measurement_rows

from patchprobe import measurements
from patchprobe.analyses.data_sets.report import datasets_table
from patchprobe.analyses.patch_classification import report
from patchprobe.errors import StoreError
from patchprobe.report import formats
from patchprobe.report.formats import Score, Table
from patchprobe.stores.reading import open_store


def by_dataset(classes):
    """Classes tables by data set as the table takes them."""
    return {"datasets": list(classes), "classes": list(classes.values())}


METRICS = ["pixel_miou", "patch_miou", "pixel_accuracy", "patch_accuracy"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The tables of two data sets in all formats, and the rows they were made from."""
    folder = tmp_path_factory.mktemp("tables")
    rows = measurement_rows(datasets=("camvid", "city_scapes"))
    measurements.write(rows, folder / "rows.parquet")
    rows = measurements.read([folder / "rows.parquet"])
    classes = {name: classes_csv(folder / name / "classes.csv") for name in ("camvid", "city_scapes")}
    files = {suffix: folder / f"t.{suffix}" for suffix in ("csv", "md", "tex", "html")}
    report.table(rows, list(files.values()), models=MODELS, **by_dataset(classes), interval=0.95)
    return rows, files, classes


class _Cells(html.parser.HTMLParser):
    """Collects the rows of the body of every table, by section."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.row, self.text, self.inside = {}, [], "", False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag == "section":
            self.tables[dict(attrs)["id"]] = self.rows = []
        if tag == "tbody":
            self.inside = True
        if tag == "tr":
            self.row = []
        if tag in ("td", "th"):
            self.text = ""
        if tag == "small":
            self.text += " "

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.row.append(self.text)
        if tag == "tr" and self.inside:
            self.rows.append(self.row)
        if tag == "tbody":
            self.inside = False

    def handle_data(self, data):
        self.text += data


def _markdown_tables(text):
    found = {}
    for part in re.split(r"^## ", text, flags=re.M)[1:]:
        lines = [line for line in part.splitlines() if line.startswith("|")]
        cells = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
        assert len({len(line) for line in cells}) == 1
        unescaped = [[re.sub(r"\\(.)", r"\1", c).replace("**", "") for c in line] for line in cells]
        found[part.splitlines()[0].replace("\\", "")] = unescaped[2:]
    return found


def _latex_tables(text):
    found = {}
    for part in text.split("\\begin{tabular}")[1:]:
        body = part.split("\\midrule")[1].split("\\bottomrule")[0]
        lines = [line.removesuffix(" \\\\").split(" & ") for line in body.strip().splitlines()]
        plain = [
            [re.sub(r"\\textbf\{(.*)\}|\{\\tiny (.*)\}", r"\1\2", c).replace("\\_", "_") for c in row] for row in lines
        ]
        label = re.findall(r"\\label\{tab:(.*)\}", text[: text.index(part)])[-1]
        found[label] = plain
    return found


def _expected(rows, dataset, model, method, metric):
    kept = rows.query("dataset == @dataset and model == @model and method == @method and metric == @metric")
    row = kept[kept["corruption"] == "clean"].iloc[0]
    return f"{row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"


def test_csv_holds_every_row(written):
    rows, files, _ = written
    back = pd.read_csv(files["csv"], keep_default_na=False, na_values=dict.fromkeys(("value", "ci_low", "ci_high"), ""))
    pd.testing.assert_frame_equal(back, rows, check_dtype=False)
    assert list(back.columns) == list(measurements.COLUMNS)


@pytest.mark.parametrize("dataset", ["camvid", "city_scapes"])
def test_headline_numbers_are_those_of_the_rows(written, dataset):
    rows, files, _ = written
    expected = [
        [model, *(_expected(rows, dataset, model, method, m) for method in ("1-nn", "linear") for m in METRICS)]
        for model in MODELS
    ]
    assert _markdown_tables(files["md"].read_text())[f"{dataset}: clean tiles"] == expected
    assert _Cells(files["html"].read_text()).tables[f"{dataset}-clean"] == expected
    lines = _latex_tables(files["tex"].read_text())[f"{dataset}-clean"]
    joined = [
        [first[0], *(f"{a} {b}" for a, b in zip(first[1:], second[1:], strict=True))]
        for first, second in zip(lines[::2], lines[1::2], strict=True)
    ]
    assert joined == expected


def test_robustness_is_the_mean_over_levels(written):
    rows, files, _ = written
    found = _Cells(files["html"].read_text()).tables["camvid-robustness"]
    pixel = rows[(rows["dataset"] == "camvid") & (rows["metric"] == "pixel_miou")]
    for line, model in zip(found, MODELS, strict=True):
        expected = [model]
        for method in ("1-nn", "linear"):
            for corruption in ("clean", *LEVELS):
                of = (pixel["model"] == model) & (pixel["method"] == method)
                part = pixel[of & (pixel["corruption"] == corruption)]
                assert len(part) == (1 if corruption == "clean" else 4)
                expected.append(f"{sum(part['value']) / len(part):.3f}")
        assert line == expected


def test_classes_stand_in_official_order_and_absent_ones_are_marked(written):
    rows, files, _ = written
    found = _markdown_tables(files["md"].read_text())["camvid: IoU of every class, 1-NN"]
    assert [line[0] for line in found] == CLASSES
    assert found[-1][1:] == ["-"] * len(MODELS)
    iou = rows.query("dataset == 'camvid' and metric == 'pixel_iou' and method == '1-nn' and corruption == 'clean'")
    for line in found[:-1]:
        values = iou[iou["class"] == line[0]].set_index("model")["value"]
        assert line[1:] == [f"{values[model]:.3f}" for model in MODELS]


def test_the_best_of_each_column_is_bold(written):
    _, files, _ = written
    line = next(x for x in files["md"].read_text().splitlines() if x.startswith("| supervised"))
    assert line.count("**") == 16  # made up to be first everywhere


def test_only_the_deepest_layer_is_shown(tmp_path):
    rows = measurement_rows(models=["dino"], corruptions={})
    inner = rows.assign(layer=3, value=rows["value"] * 0, ci_low=0.0, ci_high=0.0)
    classes = {"camvid": classes_csv(tmp_path / "classes.csv")}
    out = tmp_path / "t.md"
    report.table(pd.concat([rows, inner]), [out], models=["dino"], **by_dataset(classes), interval=0.9)
    assert "0.000" not in out.read_text().split("IoU of every class")[0]
    assert "Tokens of block 12; intervals hold 90 %" in out.read_text()


def test_seeds_and_protocols_are_not_mixed(tmp_path):
    rows = measurement_rows(models=["dino"], corruptions={})
    for column, other in (("seed", 1), ("protocol", "patch-classification-v2")):
        mixed = pd.concat([rows, rows.assign(**{column: other})])
        with pytest.raises(StoreError, match=f"measurements with {column} .* cannot share a table"):
            report.table(mixed, [], models=[], datasets=[], classes=[], interval=0.95)


def test_unknown_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"t\.pdf: tables are written as \.csv, \.md, \.tex, \.html"):
        report.table(
            measurement_rows(models=["dino"], corruptions={}), [tmp_path / "t.pdf"], models=[],
            **by_dataset({"camvid": classes_csv(tmp_path / "classes.csv")}), interval=0.95,
        )  # fmt: skip
    assert not (tmp_path / "t.pdf").exists()


def test_files_say_that_they_are_generated_and_html_needs_nothing_else(written):
    _, files, _ = written
    for suffix in ("md", "tex", "html"):
        assert "do not edit" in files[suffix].read_text().splitlines()[0 if suffix != "html" else 1]
    assert not re.search(r"(src|href)=|@import|url\(", files["html"].read_text())


def test_no_rows_but_their_order_decides_the_bytes(written, tmp_path):
    rows, files, classes = written
    again = [tmp_path / f"t.{suffix}" for suffix in ("md", "tex", "html")]
    shuffled = rows.sample(frac=1, random_state=1)
    report.table(shuffled, again, models=MODELS, **by_dataset(classes), interval=0.95)
    for path in again:
        assert path.read_bytes() == files[path.suffix[1:]].read_bytes()


def _hostile() -> Table:
    name = r"a_b&c%d#e$f{g}h~i^j\k<l>|*m*[n]"
    rows = [(name, [Score(0.5, 0.4, 0.6, best=True), 12345, name]), ("[x]", [Score(math.nan), 0, ""])]
    return Table("t", name, "model", [("g & h", name), ("g & h", "plain"), ("", "x")], rows, (name,))


def test_special_characters_are_escaped():
    text = formats.latex([_hostile()])
    bare = re.sub(r"\\[&%$#_{}]", "", text)
    body = bare.split("\\midrule")[1]
    assert not re.search(r"[%$#_~^<>|]", body.replace("\\textbackslash{}", ""))
    assert bare.count("{") == bare.count("}")
    for line in body.split("\\bottomrule")[0].strip().splitlines():
        assert line.count("&") == 3 and line.endswith("\\\\")
        assert not line.startswith("[")  # would be read as an argument of the line break before it
    assert "12,345" in text
    page = formats.page("a & b", [_hostile()])
    assert _Cells(page).tables["t"][0] == [
        _hostile().rows[0][0],
        "0.500 [0.400, 0.600]",
        "12,345",
        _hostile().rows[0][0],
    ]
    assert _markdown_tables(formats.markdown("x", [_hostile()]))  # pipes do not make columns


def test_long_tables_go_on_in_further_latex_floats():
    table = Table("t", "Long", "class", [("", "x")], [(f"c{i}", [Score(i / 1000)]) for i in range(100)])
    text = formats.latex([table])
    assert text.count("\\begin{table}") == text.count("\\end{table}") == 3
    assert text.count("(continued)") == 2
    assert len(re.findall(r"^c\d+ & ", text, re.M)) == 100
    assert len(set(re.findall(r"\\label\{(.*)\}", text))) == 3


def images_of(names, classes):
    """An images table with as many pixels in each split as a classes table counts: one row of pixels each."""
    images = pd.DataFrame(names, columns=["image_id", "split"]).assign(height=1, width=1, drawn_for="")
    images["image"] = images["image_id"] + ".png"
    pixels = pd.read_csv(classes).groupby("split")["pixels"].sum()
    for split, number in pixels.items():
        own = images["split"] == split
        images.loc[images.index[own][0], "width"] = number - own.sum() + 1
    return images


def write_card(path, grid=(4, 4)):
    path.write_text(json.dumps({"grid": list(grid), "input_size": [64, 64]}))
    return path


def test_counts_that_do_not_add_up_are_refused(tmp_path):
    paths = label_stores(tmp_path, models=["dino"], images=2, tiles=3)
    names = [("val/0", "evaluation"), ("val/1", "evaluation"), ("train/2", "train")]
    classes = classes_csv(tmp_path / "classes.csv")
    images = images_of(names, classes).assign(width=7)
    given = [images], [classes], [open_store(paths["labels"])], [write_card(tmp_path / "card.json")]
    with pytest.raises(
        StoreError, match=r"classes\.csv and labels\.zarr have \d+ pixels of split evaluation, expected 14"
    ):
        datasets_table(*given, [tmp_path / "d.csv"], datasets=["camvid"], cut=["camvid"], paper={})


def test_supercategories_and_the_papers_counts_stand_beside(tmp_path):
    paths = label_stores(tmp_path, models=["dino"], images=2, tiles=3)
    names = [("val/0", "evaluation"), ("val/1", "evaluation"), ("train/2", "train")]
    classes = classes_csv(tmp_path / "classes.csv")
    labels = open_store(paths["labels"])
    found = list(labels.attrs["class_names"])
    labels = labels.assign_attrs(supercategories=["ground"] * 2 + ["other"] * (len(found) - 2))
    images = images_of(names, classes).assign(drawn_for=[found[0], found[0], found[1]])
    out = [tmp_path / "d.csv", tmp_path / "d.html"]
    paper = {"camvid": {"ground": {"pixels": 123}, found[0]: {"patches_4x4": 45}}}
    datasets_table(
        [images],
        [classes],
        [labels],
        [write_card(tmp_path / "card.json")],
        out,
        datasets=["camvid"],
        cut=["camvid"],
        paper=paper,
    )
    table, lines = (
        pd.read_csv(out[0]),
        {row[0]: row[1:] for row in _Cells(out[1].read_text()).tables["camvid-composition"]},
    )
    assert table.set_index(["split", "name"])["drawn"].to_dict()[("evaluation", found[0])] == 2
    ground = table[(table["split"] == "train") & table["name"].isin(found[:2])]
    # Drawn, images, pixels and patches of each split, then the paper's pixels and patches.
    assert lines["all of ground"][2] == f"{ground['pixels'].sum():,}" and lines["all of ground"][-2:] == ["123", ""]
    assert lines[found[0]][-2:] == ["", "45"] and lines["sum"][3] == "48"


def test_data_sets_are_counted(tmp_path):
    paths = label_stores(tmp_path, models=["dino"], images=2, tiles=3)
    names = [("val/0", "evaluation"), ("val/1", "evaluation"), ("train/2", "train")]
    classes = classes_csv(tmp_path / "classes.csv")
    images = images_of(names, classes)
    out = [tmp_path / f"d.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    labels, card = open_store(paths["labels"]), write_card(tmp_path / "card.json")
    datasets_table([images], [classes], [labels], [card], out, datasets=["camvid"], cut=["camvid"], paper={})
    table = pd.read_csv(out[0])
    given = pd.read_csv(classes)
    assert list(table["pixels"]) == list(given["pixels"]) and list(table["name"]) == list(given["name"])
    # One patch is one block of equal labels in these stores, so patches can be counted by hand.
    maps = np.asarray(labels["label"])[:, ::16, ::16]
    for split, part in (("evaluation", maps[:6]), ("train", maps[6:])):
        patches = table[table["split"] == split].set_index("id")["patches_4x4"]
        assert patches.to_dict() == {i: int((part == i).sum()) for i in patches.index}
    overview = _Cells(out[3].read_text()).tables["datasets"]
    assert overview == [["camvid, evaluation", "2", "6", "64 x 64"], ["camvid, train", "1", "3", "64 x 64"]]
    assert "| void |" in out[1].read_text()
