"""Which values of the paper a configuration is compared with, and that they are its figures."""

import pytest

from patchprobe.analyses.paper_comparison.paper_values import comparable, paper_images
from patchprobe.config.validation import load_schema, validate


@pytest.fixture(scope="module")
def validated(repository):
    schema = load_schema(repository / "config/schema/config.schema.yaml")

    def make(datasets, models):
        split = {"train": {"source": "train"}, "evaluation": {"source": "val"}}
        entries = {name: {"splits": split, "tiling": {"size": 32}} | entry for name, entry in datasets.items()}
        return validate({"datasets": entries, "models": models}, schema)

    return make


def found(config, analysis="patch_classification"):
    chosen = [value for value in comparable(config) if value["analysis"] == analysis]
    return {(v["dataset"], v["model"], v["variant"], v["method"]): v["value"] for v in chosen}


def test_data_sets_and_models_are_known_under_any_name(validated):
    mae = {"registry": "mae", "checkpoint": "weights/mae_pretrain_vit_base.pth"}
    mae["variants"] = {
        "mine": {"transform": "drop-top-variance", "features": 200},
        "less": {"transform": "drop-top-variance", "features": 100},
    }
    config = validated({"towns": {"adapter": "cityscapes", "root": "c"}}, {"masked": mae, "dino": {}})
    assert found(config) == {
        ("towns", "masked", "", "1-nn"): 0.058,
        ("towns", "masked", "", "linear"): 0.375,
        ("towns", "masked", "mine", "1-nn"): 0.295,
        ("towns", "dino", "", "1-nn"): 0.345,
        ("towns", "dino", "", "linear"): 0.383,
    }
    swept = [v for v in comparable(config) if v["analysis"] == "removal_sweep"]
    assert {v["at"]: v["value"] for v in swept} == {0: 0.058, 10: 0.170, 200: 0.295}
    assert found(config, "full_images") == {
        ("towns", "masked", "", "1-nn"): 0.02,
        ("towns", "masked", "", "linear"): 0.176,
        ("towns", "dino", "", "1-nn"): 0.308,
        ("towns", "dino", "", "linear"): 0.340,
    }
    assert paper_images(config) == {"towns": {"train": 72, "evaluation": 30}}


def test_generated_data_and_other_weights_have_nothing_to_compare(validated):
    drawn = {"adapter": "cityscapes", "generate": {"generator": "street"}}
    assert not comparable(validated({"streets": drawn}, {"mae": {}}))
    assert not comparable(validated({"camvid": {"adapter": "camvid", "root": "c"}}, {"mae": {}}))
    other = {"dino": {"checkpoint": "mine.pth"}, "pixels": {"source": "pixels"}, "ibot": {}}
    assert not comparable(validated({"cityscapes": {"adapter": "cityscapes", "root": "c"}}, other))


def test_the_papers_configuration_has_all_values(repository, validated):
    import yaml

    schema = load_schema(repository / "config/schema/config.schema.yaml")
    config = validate(yaml.safe_load((repository / "config/paper.yaml").read_text()), schema)
    table = found(config)
    assert len(table) == 23 and all(0 < value < 1 for value in table.values())
    assert table["ade20k", "mae", "drop-200", "linear"] == 0.056
    assert len(comparable(config)) == 23 + 3 + 2 + 4 + 16
