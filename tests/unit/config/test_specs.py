"""What each rule depends on: of one key at a time, the values of which rules change."""

import copy
import re
from pathlib import Path

import pytest

from patchprobe.analyses.declaring import kinds_of
from patchprobe.config import inputs, specs
from patchprobe.config.validation import load_schema, validate
from patchprobe.errors import ConfigError

CONFIG = {
    "data_root": "data",
    "datasets": {
        "towns": {
            "adapter": "cityscapes",
            "root": "towns",
            "splits": {"train": {"source": "train"}, "evaluation": {"source": "val"}},
            "tiling": {"size": 64},
        },
        "drawn": {
            "adapter": "cityscapes",
            "generate": {"generator": "street"},
            "splits": {"train": {"source": "train"}, "evaluation": {"source": "val"}},
            "tiling": {"size": 64},
        },
    },
    "models": {
        "mae": {"variants": {"less": {"transform": "drop-top-variance", "features": 20}}},
        "scalemae": {"ground_sample_distance": 2.0},
        "mae-visualize": {},
        "pixels": {"source": "pixels", "patch_size": 8},
    },
    "corruptions": {"blur": {"levels": [3]}},
    "pretraining": {"objectives": {"mae": {}, "dino": {}}},
}
VALUES = {
    "generation": lambda c: specs.generation(c, "drawn"),
    "index": lambda c: specs.index(c, "towns"),
    "index of drawn": lambda c: specs.index(c, "drawn"),
    "tiles": lambda c: specs.tiles(c, "towns"),
    "corruption": lambda c: specs.corruption(c, "towns", "blur"),
    "card of mae": lambda c: specs.model_card(c, "towns", "mae"),
    "card of scalemae": lambda c: specs.model_card(c, "towns", "scalemae"),
    "clean tokens of mae": lambda c: specs.extraction(c, "towns", "mae", "clean"),
    "clean tokens of scalemae": lambda c: specs.extraction(c, "towns", "scalemae", "clean"),
    "blurred tokens of mae": lambda c: specs.extraction(c, "towns", "mae", "blur"),
    "card of mae on full images": lambda c: specs.full_images_card(c, "towns", "mae"),
    "tokens of mae of full images": lambda c: specs.full_images_extraction(c, "mae"),
    "probe of mae": lambda c: specs.probe(c, "mae", ""),
    "probe of less": lambda c: specs.probe(c, "mae", "less"),
    "classes by mae": lambda c: specs.patch_classification(c, "towns", "mae", "", "clean"),
    "classes by less": lambda c: specs.patch_classification(c, "towns", "mae", "less", "clean"),
    "decoder": lambda c: specs.decoder_card(c, "towns", "mae-visualize"),
    "reconstruction": lambda c: specs.reconstruction(c, "towns", "mae-visualize"),
    "card of mae-visualize": lambda c: specs.model_card(c, "towns", "mae-visualize"),
    "tokens of mae-visualize": lambda c: specs.extraction(c, "towns", "mae-visualize", "clean"),
    "images to pretrain on": specs.pretraining_images,
    "pretraining by mae": lambda c: specs.pretraining(c, "mae"),
    "pretraining by dino": lambda c: specs.pretraining(c, "dino"),
    "losses": specs.packaged_losses,
}
OF_MAE = {"card of mae", "clean tokens of mae", "blurred tokens of mae"}
OF_MAE |= {"card of mae on full images", "tokens of mae of full images"}
OF_SCALEMAE = {"card of scalemae", "clean tokens of scalemae"}
TOKENS = {name for name in VALUES if "tokens" in name}
OF_VISUALIZE = {"card of mae-visualize", "tokens of mae-visualize", "decoder", "reconstruction"}
CLASSES, PROBES = {"classes by mae", "classes by less"}, {"probe of mae", "probe of less"}
TRAINED = {"pretraining by mae", "pretraining by dino"}


@pytest.fixture(scope="module")
def schema(repository):
    return load_schema(repository / "config/schema/config.schema.yaml")


@pytest.fixture(scope="module")
def before(schema):
    return validate(CONFIG, schema)


@pytest.mark.parametrize(
    ("key", "value", "changed"),
    [
        (
            "seed",
            1,
            {"index", "index of drawn", "corruption", "images to pretrain on", "reconstruction"}
            | PROBES
            | CLASSES
            | TRAINED,
        ),
        ("device", "cpu", TOKENS | TRAINED | {"reconstruction"}),
        ("data_root", "elsewhere", {"index", "tiles", "corruption"}),
        ("checkpoint_root", "elsewhere", OF_MAE | OF_SCALEMAE | OF_VISUALIZE),
        ("datasets.towns.root", "cities", {"index", "tiles", "corruption"}),
        ("datasets.towns.splits.evaluation.images", 2, {"index"}),
        ("datasets.towns.tiling.interpolation", "bilinear", {"tiles", "corruption", "card of mae on full images"}),
        ("datasets.towns.tiling.size", 32, {"index", "tiles", "corruption", "card of mae on full images"}),
        ("datasets.towns.ground_sample_distance", 1.0, set()),
        ("datasets.drawn.generate.seed", 7, {"generation"}),
        ("corruptions.blur.levels", [5], {"corruption"}),
        ("models.mae.input_size", 64, OF_MAE),
        ("models.mae.probe.batch_norm", False, PROBES),
        ("models.mae.url", "https://mirror.example.org/a", set()),
        ("models.mae.variants.less.features", 30, {"probe of less", "classes by less"}),
        ("models.scalemae.ground_sample_distance", 3.0, OF_SCALEMAE),
        ("models.mae-visualize.decoder.target", "normalised-patches", {"decoder", "reconstruction"}),
        ("models.mae-visualize.decoder.url", "https://mirror.example.org/a", set()),
        ("models.mae-visualize.mean", [0.5, 0.5, 0.5], OF_VISUALIZE),
        ("reconstruction.features", 100, {"reconstruction"}),
        ("reconstruction.masked", [0.5], {"reconstruction", "decoder"}),
        ("reconstruction.models", [], set()),
        ("extraction.batch_size", 4, TOKENS | {"reconstruction"}),
        ("extraction.layers.corrupted", "all", {"blurred tokens of mae"}),
        (
            "extraction.layers.clean",
            "last",
            {"clean tokens of mae", "clean tokens of scalemae", "tokens of mae-visualize"},
        ),
        ("extraction.dtype", "float32", TOKENS),
        ("patch_classification.linear.steps", 5, PROBES),
        ("patch_classification.bootstrap.resamples", 500, CLASSES),
        ("removal_sweep.features", [0], set()),
        ("pretraining.objectives.mae.steps", 5, {"pretraining by mae"}),
        ("pretraining.images.count", 5, {"images to pretrain on"} | TRAINED),
        ("pretraining.crop", [0.6, 1.0], TRAINED),
    ],
)
def test_values_are_those_of_the_keys_that_a_rule_uses(schema, before, key, value, changed):
    edited = copy.deepcopy(CONFIG)
    *path, last = key.split(".")
    entry = edited
    for part in path:
        entry = entry.setdefault(part, {})
    entry[last] = value
    after = validate(edited, schema)
    assert {name for name, of in VALUES.items() if of(before) != of(after)} == changed


def test_of_videos_the_last_block_alone_is_stored_and_corruptions_are_named(schema):
    split = {"evaluation": {"source": "val", "videos": 2}}
    films = {"adapter": "bdd100k", "root": "bdd", "splits": split, "tiling": {"size": 64}}
    both = {**CONFIG["datasets"], "films": films, "named": {**films, "corruptions": ["blur"]}}
    config = validate({**CONFIG, "datasets": both}, schema)
    layers = {
        name: specs.extraction(config, name, "mae", "clean")["extraction"]["layers"] for name in ("films", "towns")
    }
    assert layers == {"films": "last", "towns": "all"}
    kinds = {name: kinds_of(config, name) for name in config["datasets"]}
    assert kinds == {"films": [], "named": ["blur"], "towns": ["blur"], "drawn": ["blur"]}
    assert inputs.with_identities(config) == ["films", "named"]
    assert specs.objects(config, "films") == specs.dataset(config, "films")
    assert specs.index(config, "films")["splits"]["evaluation"]["videos"] == 2


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        (
            "towns",
            {"videos": 2},
            r"datasets\.towns\.splits\.evaluation\.videos needs videos, and adapter cityscapes has none",
        ),
        (
            "films",
            {"videos": 2, "images": 3},
            r"films\.splits\.evaluation: images and videos are both set; set one of them to null",
        ),
        ("films", {"videos": 0}, r"films\.splits\.evaluation\.videos: 0 is less than the minimum"),
        (
            "films",
            {"tiles_per_class": 1},
            r"films\.splits\.evaluation\.tiles_per_class needs boxes, and adapter mot17 has none",
        ),
    ],
)
def test_draws_that_videos_or_images_do_not_have_are_refused(schema, name, split, message):
    config = copy.deepcopy(CONFIG)
    config["datasets"]["films"] = {
        "adapter": "mot17",
        "root": "mot",
        "splits": {"evaluation": {"source": "train"}},
        "tiling": {"size": 64},
    }
    config["datasets"][name]["splits"]["evaluation"].update(split)
    with pytest.raises(ConfigError, match=message):
        validate(config, schema)


def test_a_variant_that_is_not_there_is_named(schema):
    with pytest.raises(ConfigError, match=r"models\.mae\.variants has no more: add it"):
        specs.probe(validate(CONFIG, schema), "mae", "more")


def test_modules_found_by_name_are_there(repository, schema):
    config = validate(CONFIG, schema)
    found = [inputs.adapter_module(config, "towns"), inputs.generator_module(config, "drawn")]
    found += [inputs.corruption_module("band-noise"), *inputs.model_modules(config, "mae")]
    found += [*inputs.model_modules(config, "pixels"), inputs.objective_module("mae")]
    found += [inputs.image_source_module(config)]
    assert all((repository / "src" / f"{name.replace('.', '/')}.py").is_file() for name in found), found


def test_what_is_read_that_no_job_makes(schema, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = validate(CONFIG, schema)
    assert inputs.raw_manifest(config, "drawn") == ["results/drawn/raw.manifest.json"]
    assert inputs.generated_folder(config, "drawn") == ["results/drawn/raw"]
    assert inputs.raw_manifest(config, "towns") == inputs.generated_folder(config, "towns") == []
    assert inputs.raw_state(config, "towns") == inputs.raw_state(config, "drawn") == ""
    (tmp_path / "data/towns/leftImg8bit/train/ulm").mkdir(parents=True)
    before = inputs.raw_state(config, "towns")
    (tmp_path / "data/towns/leftImg8bit/train/ulm/more.png").touch()
    assert before != inputs.raw_state(config, "towns") != ""
    (name,) = inputs.checkpoint(config, "mae")
    assert inputs.checkpoint(config, "pixels") == []
    assert re.fullmatch(inputs.absent_checkpoints(config), Path(name).name)
    Path(name).parent.mkdir(parents=True)
    Path(name).touch()
    assert not re.fullmatch(inputs.absent_checkpoints(config), Path(name).name)
    wanted = inputs.fetched(config, Path(name).name)
    assert wanted["model"] == "mae" and wanted["md5"] == "8cad7c" and wanted["url"] == config["models"]["mae"]["url"]


def test_files_of_decoders_are_fetched_and_watched_as_those_of_models(schema, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    edited = copy.deepcopy(CONFIG)
    edited["models"]["mae"]["decoder"] = {"checkpoint": "x/../mine.pth", "sha256": "0" * 64}
    edited["models"]["demo-mae"] = {}
    config = validate(edited, schema)
    assert inputs.decoder_checkpoint(config, "mae") == ["checkpoints/mine.pth"]
    assert inputs.decoder_checkpoint(config, "demo-mae") == inputs.decoder_checkpoint(config, "mae-visualize") == []
    assert re.fullmatch(inputs.absent_checkpoints(config), "mine.pth")
    assert inputs.fetched(config, "mine.pth") == {
        "model": "mae.decoder",
        "url": None,
        "sha256": "0" * 64,
        "md5": None,
        "mirror": None,
    }
    assert inputs.packaged_decoder(config, "mae") == inputs.packaged_decoder(config, "mae-visualize") == ""
    assert inputs.packaged_decoder(config, "demo-mae").startswith("weights ")
    assert inputs.packaged_decoder(config, "demo-mae") != inputs.packaged_weights(config, "demo-mae")
