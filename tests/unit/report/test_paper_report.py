"""Scores beside the paper's: every number is one of the rows or of the paper."""

import pandas as pd
import pytest
from report_data import measurement_rows, sweep_rows, variant_rows

from patchprobe.analyses.paper_comparison import report as paper


def value(where="table 2", analysis="patch_classification", model="mae", paper=0.1, **more):
    plain = {"variant": "", "method": "1-nn", "metric": "miou", "class": "", "at": 0, "layer": None}
    return plain | {"where": where, "analysis": analysis, "dataset": "towns", "model": model, "value": paper} | more


VALUES = [
    value(paper=0.058),
    value(variant="mine", paper=0.295),
    value(model="dino", method="linear", paper=0.383),
    value(model="simmim", paper=0.075),
    value(where="removal", analysis="removal_sweep", at=10, paper=0.17),
    value(where="removal", analysis="removal_sweep", at=999, paper=0.9),
    value(where="blocks", analysis="layers", metric="iou", layer=9, **{"class": "bus"}, paper=0.059),
]


def rows():
    plain = variant_rows(measurement_rows(["dino", "mae"], ("towns", "other"), {}, ["sky", "road"]), "mae", ["mine"])
    swept = sweep_rows((0, 10), ["mae"], ("towns",))
    blocks = measurement_rows(["mae"], ("towns",), {}, ["Bus", "sky"])
    layers = [blocks.assign(layer=i, value=blocks["value"] + i / 100, protocol="layers-v1") for i in (9, 12)]
    return pd.concat([plain, swept, *layers], ignore_index=True)


@pytest.fixture
def written(tmp_path):
    outputs = [tmp_path / f"t.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    images, drawn = (
        {"towns": {"train": 72, "evaluation": 30}},
        pd.DataFrame({"split": ["train"] * 72 + ["evaluation"] * 3}),
    )
    paper.paper_comparison(rows(), outputs, values=VALUES, images=images, datasets=["towns"], drawn=[drawn])
    return pd.read_csv(outputs[0], keep_default_na=False), outputs[1].read_text()


def test_every_difference_is_ours_minus_the_papers(written):
    table, _ = written
    # Pixels and patches each: the two that the run does not have are left out.
    assert len(table) == 5 * 2 and set(table["dataset"]) == {"towns"}
    measured = rows().set_index(["dataset", "model", "variant", "method", "protocol", "at", "layer", "class", "metric"])
    protocols = {
        "patch_classification": "patch-classification-v1",
        "removal_sweep": "removal-sweep-v1",
        "layers": "layers-v1",
    }
    for row in table.to_dict("records"):
        key = [row[c] for c in ("dataset", "model", "variant", "method")]
        key += [protocols[row["analysis"]], *(row[c] for c in ("at", "layer", "class", "metric"))]
        own = measured.loc[tuple(key), "value"]
        assert row["value"] == pytest.approx(own) and row["difference"] == pytest.approx(own - row["paper"])
    assert table.loc[table["class"] == "Bus", "paper"].tolist() == [0.059, 0.059]
    assert set(table["paper"]) == {0.058, 0.295, 0.383, 0.17, 0.059}


def test_pages_show_both_and_say_what_is_ours(written):
    table, text = written
    line = next(line for line in text.splitlines() if line.startswith("| mae mine, 1-NN, mIoU"))
    cells = [cell.strip() for cell in line.split("|")[2:-1]]
    own = table[table["variant"] == "mine"].set_index("metric")
    assert cells[0] == "0.295"
    for place, metric in ((1, "pixel_miou"), (3, "patch_miou")):
        assert cells[place].startswith(f"{own.loc[metric, 'value']:.3f}")
        assert cells[place + 1] == f"{own.loc[metric, 'difference']:+.3f}"
    assert "| mae, 1-NN, 10 removed, mIoU |" in text and "| mae, 1-NN, block 9, Bus, IoU |" in text
    assert "72 training and 3 evaluation images; the paper has 72 and 30" in text and "simmim" not in text
    assert text.count("## towns:") == 3 and text.count(r"\[O\]") >= 3


def test_a_run_without_any_of_the_measurements_has_an_empty_table(tmp_path):
    compared = paper.compare(rows(), [VALUES[3]])
    assert compared.empty and "difference" in compared.columns
