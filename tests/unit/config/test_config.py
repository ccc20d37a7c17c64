import copy
import json
import math
import re

import pytest
import yaml

from patchprobe.config.specs import ground_sample_distance
from patchprobe.config.validation import NO_DATA_SETS, load_schema, validate
from patchprobe.datasets.dataset import open_dataset
from patchprobe.errors import ConfigError
from patchprobe.reference.config import reference

SPLITS = {"train": {"source": "train"}, "evaluation": {"source": "test"}}
FOLDERS = {"adapter": "folders", "root": "mine", "splits": SPLITS, "tiling": {"size": 64}}
BASE = {
    "datasets": {"street": {"adapter": "synthetic", "splits": SPLITS, "tiling": {"size": 64}}},
    "models": {"pixels": {"source": "pixels"}, "dino": {"source": "timm", "architecture": "vit_base_patch16_224.dino"}},
}


@pytest.fixture(scope="module")
def schema(repository):
    return load_schema(repository / "config/schema/config.schema.yaml")


def changed(path: str, value):
    config = copy.deepcopy(BASE)
    at = config
    *parents, last = path.split(".")
    for step in parents:
        at = at.setdefault(step, {})
    at[last] = value
    return config


def test_defaults_are_the_protocol_values(schema):
    filled = validate(BASE, schema)
    assert filled["corruptions"]["blur"] == {"levels": [3, 5, 9, 17], "apply": "image"}
    assert filled["corruptions"]["noise"]["levels"] == [10, 25, 50, 100]
    assert filled["corruptions"]["band-noise"] == {
        "levels": [[0.02, 0.08], [0.15, 0.21], [0.40, 0.46], [0.80, 0.86]],
        "std": 40,
        "apply": "image",
    }
    assert filled["corruptions"]["rotate"] == {"levels": [5, 10, 15, 20], "apply": "tile"}
    assert filled["corruptions"]["scale"]["levels"] == [0.8, 0.9, 1.1, 1.2]
    assert filled["corruptions"]["shift"]["levels"] == [1, 2, 3, 4]
    assert filled["datasets"]["street"]["tiling"]["resize"] == 224
    assert filled["patch_classification"]["bootstrap"] == {"resamples": 1000, "level": 0.95}


@pytest.mark.parametrize("key", ["per_group", "per_class"])
def test_more_training_images_than_are_drawn_are_refused(schema, key):
    config = changed("training_size", {"per_group": [1, 16]})
    config["datasets"]["street"]["splits"] = SPLITS | {"train": {"source": "train", key: 4}}
    remedy = rf"splits.train.{key} draws 4: draw more, or ask for at most 4"
    with pytest.raises(ConfigError, match=r"training_size.per_group asks for 16 images, but .*street\." + remedy):
        validate(config, schema)
    config["training_size"]["per_group"] = [1, 4]
    validate(config, schema)


def test_defaults_depend_on_the_source(schema):
    models = validate(BASE, schema)["models"]
    assert models["pixels"] == {
        "source": "pixels",
        "input_size": None,
        "patch_size": 16,
        "probe": {"batch_norm": False},
        "variants": {},
    }
    assert models["dino"]["position_embedding"] is None and "patch_size" not in models["dino"]


def test_registry_gives_the_keys_that_the_config_leaves_out(schema):
    config = changed("models.mae", None)
    config["models"]["wide"] = {"registry": "mae", "input_size": [224, 448], "probe": {"batch_norm": False}}
    models = validate(config, schema)["models"]
    mae, wide = models["mae"], models["wide"]
    assert mae["layout"] == "mae" and mae["probe"] == {"batch_norm": True} and mae["arguments"] == {}
    assert "registry" not in mae and "registry" not in wide
    assert {key for key in mae if mae[key] != wide[key]} == {"input_size", "probe"}


@pytest.mark.parametrize(
    ("dataset", "model", "distance"),
    [
        ({"ground_sample_distance": 0.7}, {"ground_sample_distance": "sensor"}, 0.7 * 64 / 224),
        ({"ground_sample_distance": 0.7}, {"ground_sample_distance": "sensor", "input_size": 32}, 0.7 * 2),
        ({"ground_sample_distance": 0.7}, {"ground_sample_distance": "sensor", "input_size": [16, 16]}, 0.7 * 4),
        (
            {"ground_sample_distance": 0.7, "tiling": {"size": 64, "resize": 128}},
            {"ground_sample_distance": "sensor", "input_size": None},
            0.35,
        ),
        ({"ground_sample_distance": 0.7}, {}, 1.0),
        ({}, {}, 1.0),
        ({"ground_sample_distance": 0.7}, {"ground_sample_distance": 3}, 3.0),
        ({}, {"ground_sample_distance": 3}, 3.0),
    ],
)
def test_ground_sample_distance_is_per_pixel_of_the_models_input(schema, dataset, model, distance):
    config = changed("models.scalemae", model)
    config["datasets"]["street"] |= dataset
    own = {"source": "timm", "architecture": "vit_base_patch16_224", "layout": "scalemae", "input_size": 224}
    config["models"]["own"] = own | model
    filled = validate(config, schema)
    assert ground_sample_distance(filled, "street", "own") == pytest.approx(distance)
    assert ground_sample_distance(filled, "street", "scalemae") == pytest.approx(distance)
    assert ground_sample_distance(filled, "street", "dino") is None
    assert ground_sample_distance(filled, "street", "pixels") is None


def test_variants_have_the_keys_of_their_transform(schema):
    variants = {
        "no-top": {"transform": "drop-top-variance", "features": 200},
        "random": {"transform": "drop-random", "features": 200},
        "standard": {"transform": "batch-norm"},
    }
    filled = validate(changed("models.dino.variants", variants), schema)["models"]["dino"]["variants"]
    assert filled == variants | {"random": {"transform": "drop-random", "features": 200, "seed": 0}}


def test_removal_sweep_defaults(schema):
    counts = [0, 5, 10, 20, 50, 100, 150, 200, 250, 300, 400, 500, 600, 700]
    assert validate(BASE, schema)["removal_sweep"] == {"features": counts, "steps": None}


def test_given_config_is_not_changed(schema):
    before = copy.deepcopy(BASE)
    validate(BASE, schema)
    assert before == BASE


def test_partial_corruption_list_is_kept(schema):
    filled = validate(changed("corruptions", {"blur": {"levels": [3]}}), schema)
    assert filled["corruptions"] == {"blur": {"levels": [3], "apply": "image"}}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sed", 1, "unknown key sed: did you mean seed?"),
        ("models.dino.archtecture", "x", "unknown key models.dino.archtecture: did you mean models.dino.architecture?"),
        ("datasets.street.tiling.resise", 3, "did you mean datasets.street.tiling.resize?"),
        ("corruptions", {"blurr": {}}, "unknown key corruptions.blurr: did you mean corruptions.blur?"),
        (
            "datasets.street.zzz",
            1,
            "unknown key datasets.street.zzz: allowed are adapter, corruptions, download, generate, ground_sample_distance, options, root, splits, tiling",
        ),
        ("models.pixels.seed", 1, "key models.pixels.seed has no meaning with this models.pixels.source: remove it"),
        ("models.dino", {"source": "timm"}, "key models.dino.architecture is missing"),
        ("models.dino.source", "timn", "did you mean timm?"),
        ("models.Bad Name", {"source": "pixels"}, "name 'Bad Name' under models must be lower-case"),
        ("models.a/b", {"source": "pixels"}, "must be lower-case"),
        ("models", {}, "key models is empty: name at least one"),
        (
            "models.pixels.variants",
            {"p": {"transform": "drop-position", "features": 2}},
            "key models.pixels.variants.p.transform is drop-position, but raw pixels of a black image are the same at every place",
        ),
        ("device", "gpu", "key device is 'gpu', allowed are auto, cpu, cuda"),
        ("datasets.street.tiling.size", "big", "key datasets.street.tiling.size: 'big' is not of type 'integer'"),
        ("models.pixels.layout", "mae", "key models.pixels.layout has no meaning with this models.pixels.source"),
        ("models.dino.input_size", [224], "key models.dino.input_size: [224] is too short"),
        ("models.dino.position_embedding", "mae", "allowed are timm, dino, vitmae, bilinear, "),
        (
            "models.dino.sha256",
            "C867DB91",
            "key models.dino.sha256 is 'C867DB91', which is not of the form it needs; it is this: SHA-256 of the checkpoint in lower-case",
        ),
        (
            "models.mae.md5",
            "8cad7",
            "key models.mae.md5 is '8cad7', which is not of the form it needs; it is this: MD5 of",
        ),
        ("models.dino.sha256", 73958219, "key models.dino.sha256: 73958219 is not of type 'string'"),
        ("models.dino.arguments", {"depth": [1]}, "key models.dino.arguments.depth: [1] is not of type"),
        (
            "models.maee",
            {},
            "key models.maee.source is missing, and the registry has no model maee (did you mean mae?)",
        ),
        (
            "models.maee",
            None,
            "key models.maee.source is missing, and the registry has no model maee (did you mean mae?)",
        ),
        (
            "models.m",
            {"registry": "dinov22"},
            "key models.m.registry is 'dinov22', allowed are beit-v2, beit-v2-in22k, capi, capi-lvd,",
        ),
        ("models.m", {"registry": "mae", "source": "random"}, "key models.m.source is 'random', but the model mae"),
        ("models.m", "mae", "key models.m: 'mae' is not of type 'object'"),
        ("models.dino.ground_sample_distance", 1.0, "has no effect, since models.dino.position_embedding is not gsd"),
        (
            "models.dino.layout",
            "dinoo",
            "models.dino.layout: unknown layout 'dinoo'; did you mean dino? Known: beit-v2,",
        ),
        ("models.dino.layout", "../timm", "models.dino.layout: unknown layout '../timm'"),
        ("models.dino.url", "ftp://host/w.pth", "models.dino.url: ftp://host/w.pth is not an address; write https://"),
        ("models.dino.url", "http://[::1", "models.dino.url: the text given is not an address"),
        ("models.dino.checkpoint", "a/../../w.pth", "models.dino.checkpoint: ../w.pth lies outside checkpoints"),
        (
            "models.scalemae",
            {"ground_sample_distance": math.nan},
            "key models.scalemae.ground_sample_distance is nan: gi",
        ),
        ("models.dino.std", [1.0, math.inf, 1.0], "key models.dino.std.1 is inf: give a finite number"),
        (
            "models.scalemae",
            {"input_size": [224, 112], "ground_sample_distance": 1.0},
            "key models.scalemae.input_size is [224, 112], but position_embedding gsd is defined for square images",
        ),
        (
            "models.scalemae",
            {"ground_sample_distance": "sensor"},
            "key models.scalemae.ground_sample_distance is sensor, and nothing tells that of street: give "
            "datasets.street.ground_sample_distance (metres per pixel of its images), a number",
        ),
        ("models.scalemae", {"ground_sample_distance": "sensors"}, "key models.scalemae.ground_sample_distance"),
        (
            "extraction",
            None,
            "key extraction: None is not of type 'object' (write what it says below it: it has the keys ",
        ),
        (
            "extraction.shards",
            4,
            "key extraction.shards: 4 is not of type 'object' (write names below it, each with its value: Number of jobs, by data "
            "set, that extract the tokens of its tiles side by side, each on a device of its own)",
        ),
        ("models", ["dino"], "(write names below it, each with its value: The models to evaluate, by name)"),
        (
            "extraction.shards",
            {"ade20k": 2},
            "key extraction.shards names ade20k, which is not under datasets: there are street",
        ),
        ("extraction.shards", {"street": 0}, "street: 0 is less than the minimum of 1: give 1 or more"),
        (
            "datasets.street.options",
            {"image": 3},
            "unknown key datasets.street.options.image: did you mean datasets.street.options.images?",
        ),
        (
            "datasets.street.options",
            {"height": 16},
            "key datasets.street.options.height: 16 is less than the minimum of 32",
        ),
        ("datasets.street.adapter", "folders", "key datasets.street.options is missing"),
        (
            "datasets.street",
            FOLDERS | {"options": {"images": "a/*", "classes": ["a", "b"]}},
            "options.label_maps is missing",
        ),
        (
            "datasets.street",
            FOLDERS | {"options": {"images": "a/*", "label_maps": "b/*", "classes": {"a": None, "b": 1}}},
            "options.classes.a: None is not of type 'integer', 'string', 'array' (in YAML a # outside quotes begins a remark",
        ),
        (
            "datasets.street",
            FOLDERS | {"adapter": "camvid", "options": {"a": 1}},
            "unknown key datasets.street.options.a",
        ),
        (
            "models.dino.variants",
            {"bn": {"transform": "batch-norm", "features": 3}},
            "key models.dino.variants.bn.features has no meaning with this models.dino.variants.bn.transform: remove it",
        ),
        (
            "models.dino.variants",
            {"white": {"transform": "pca-whiten", "seed": 3}},
            "key models.dino.variants.white.seed has no meaning with this models.dino.variants.white.transform: remove it",
        ),
        (
            "models.dino.variants",
            {"top": {"transform": "keep-top-variance", "features": 3, "seed": 1}},
            "key models.dino.variants.top.seed has no meaning with this models.dino.variants.top.transform",
        ),
        (
            "models.dino.variants",
            {"top": {"transform": "drop-top-variance"}},
            "key models.dino.variants.top.features is missing",
        ),
        (
            "models.dino.variants",
            {"top": {"transform": "drop-top-varience", "features": 3}},
            "(did you mean drop-top-variance?)",
        ),
        ("models.dino.variants", {"a@b": {"transform": "batch-norm"}}, "name 'a@b' under models.dino.variants must be"),
        (
            "full_images",
            {"models": ["pixel"]},
            "key full_images.models names pixel, which is not under models: did you mean pixels?",
        ),
        (
            "full_images",
            {"models": ["dino"], "datasets": ["ade20k"]},
            "key full_images.datasets names ade20k, which is not under datasets: there are street",
        ),
        (
            "report",
            {"models": ["dino", "pixel"]},
            "key report.models names pixel, which is not under models: did you mean pixels?",
        ),
        (
            "report",
            {"models": ["mae"]},
            "key report.models names mae, which is not under models: there are dino, pixels",
        ),
        ("report", {"models": ["dino", "dino"]}, "key report.models: ['dino', 'dino'] has non-unique elements"),
        ("report", {"methods": ["knn"]}, "key report.methods.0 is 'knn', allowed are 1-nn, linear"),
        ("removal_sweep", {"features": [0, 0]}, "features: [0, 0] has non-unique elements: give each once"),
        (
            "overclustering",
            {"clusters": ["class"]},
            "key overclustering.clusters.0 is 'class', allowed are classes or integers from 2",
        ),
        ("removal_stability", {"features": 1.5}, "key removal_stability.features: 1.5 is not of type 'integer'"),
        ("token_contents", {"removals": "drop-norm"}, "is not of type 'array' (write it in brackets: [drop-norm])"),
        ("token_contents", {"removals": ["top-variance"]}, "did you mean drop-top-variance?"),
        ("corruptions", {"blur": {"levels": []}}, "blur.levels: [] should be non-empty: give at least 1"),
    ],
)
def test_each_mistake_names_the_key_and_the_remedy(schema, path, value, message):
    with pytest.raises(ConfigError, match="the configuration is not valid") as caught:
        validate(changed(path, value), schema)
    assert message in str(caught.value)
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"source": "random", "architecture": "vit_tiny_patch16_224"}, "random weights are those of one input size"),
        (
            {"registry": "scalemae", "ground_sample_distance": 1.0},
            "position embedding gsd is defined for square images",
        ),
    ],
)
def test_models_without_a_position_embedding_to_interpolate_see_no_full_images(schema, entry, reason):
    config = changed("models.mine", entry)
    config["full_images"] = {"models": ["pixels", "mine"]}
    with pytest.raises(ConfigError, match=rf"full_images\.models names mine, whose {reason}.*: take it out"):
        validate(config, schema)
    config["full_images"]["models"].remove("mine")
    assert validate(config, schema)["full_images"] == {"models": ["pixels"], "datasets": None}


def test_all_mistakes_are_reported_at_once(schema):
    config = changed("sed", 1)
    config["models"]["pixels"]["patchsize"] = 3
    with pytest.raises(ConfigError) as caught:
        validate(config, schema)
    assert str(caught.value).count("  - ") == 2


def test_every_key_is_described_and_has_a_marked_value_where_it_is_ours(schema):
    def walk(node, path):
        if not isinstance(node, dict):
            return
        for name, sub in node.get("properties", {}).items():
            if isinstance(sub, dict) and "$ref" not in sub and "not" not in sub and set(sub) != {"default"}:
                assert sub.get("description") or "properties" in sub, f"{path}.{name} is not described"
                walk(sub, f"{path}.{name}")
        walk(node.get("additionalProperties"), f"{path}.*")

    for name, part in [("", schema), *schema["$defs"].items()]:
        walk(part, name)


def test_page_of_keys_is_made_from_the_schema(repository, schema):
    page = (repository / "config/README.md").read_text()
    assert page == reference(schema), "run: python -m patchprobe.reference.config config"
    assert "`datasets.<name>` entries" in page and "| `position_embedding` |" in page


def test_probe_defaults_are_those_of_the_library(schema):
    from patchprobe.probes.fitting import ProbeOptions

    filled = validate(BASE, schema)["patch_classification"]["linear"]
    filled |= {key: tuple(filled[key]) for key in ("learning_rates", "weight_decays")}
    assert ProbeOptions(**filled) == ProbeOptions()


def test_every_shipped_configuration_is_valid(repository, schema):
    files = sorted((repository / "config").glob("*.yaml"))
    assert len(files) >= 2
    for file in files:
        validate(yaml.safe_load(file.read_text()), schema)


@pytest.mark.parametrize("key", ["datasets.street.root", "pretraining.images.folder"])
@pytest.mark.parametrize("outside", ["../elsewhere", "a/../../elsewhere", "/elsewhere"])
def test_folders_of_data_stay_below_data_root(schema, key, outside):
    with pytest.raises(ConfigError) as caught:
        validate(changed(key, outside) | {"data_root": "data"}, schema)
    assert f"{key}: {outside} lies outside data; put the folder there, or link it" in str(caught.value)


@pytest.mark.parametrize("root", ["data", "/data"])
@pytest.mark.parametrize("inside", ["CamVid", "a/../CamVid", ".", "/data/CamVid"])
def test_folders_below_data_root_are_taken(schema, monkeypatch, root, inside):
    monkeypatch.chdir("/")
    config = changed("datasets.street.root", inside) | {
        "data_root": root,
        "pretraining": {"images": {"folder": inside}},
    }
    validate(config, schema)


# A text that each pattern takes, so that the test below fails for the line break alone.
EXAMPLES = (
    "street",
    "sensor",
    "0123456789abcdef",
    "tcp://node:8786",
    "patch-classification-v1",
    "data/CamVid",
    "file:///archives",
    "s3://bucket/a.study/one",
)


def patterns(part):
    if isinstance(part, dict):
        if isinstance(part.get("pattern"), str):
            yield part["pattern"]
        for value in part.values():
            yield from patterns(value)
    elif isinstance(part, list):
        for value in part:
            yield from patterns(value)


def test_no_pattern_takes_a_line_break_at_the_end(schema, repository):
    rows = json.loads((repository / "src/patchprobe/measurements.schema.json").read_text())
    found = {*patterns(schema), *patterns(rows)}
    assert len(found) >= 7
    for pattern in found:
        taken = [example for example in EXAMPLES if re.search(pattern, example)]
        assert taken
        for example in taken:
            assert not any(re.search(pattern, example + end) for end in ("\n", "\r\n", "\n\n"))


@pytest.mark.parametrize(
    "path",
    [
        *(
            "data_root",
            "checkpoint_root",
            "dask.scheduler",
            "datasets.street.root",
            "datasets.street.generate.generator",
        ),
        *("pretraining.images.folder", "datasets.street.splits.train.source", "models.dino.checkpoint"),
        *("models.dino.url", "models.dino.sha256", "models.dino.md5"),
    ],
)
@pytest.mark.parametrize("example", [*EXAMPLES, "https://host/w.pth"])
def test_texts_that_name_files_have_no_line_break(schema, path, example):
    with pytest.raises(ConfigError) as caught:
        validate(changed(path, example + "\n"), schema)
    assert path in str(caught.value) and "\\n" in str(caught.value)


@pytest.mark.parametrize("part", ["datasets", "models"])
def test_names_have_no_line_break(schema, part):
    config = copy.deepcopy(BASE)
    config[part]["name\n"] = next(iter(config[part].values()))
    with pytest.raises(ConfigError, match=r"name 'name\\n' under"):
        validate(config, schema)


@pytest.mark.parametrize("source", ["../../elsewhere", "/elsewhere", "..", "a/b", ""])
def test_a_split_is_no_path(schema, source):
    with pytest.raises(ConfigError, match=r"splits\.train\.source"):
        validate(changed("datasets.street.splits.train.source", source), schema)


def test_a_link_below_data_root_may_lead_elsewhere(schema, tmp_path):
    """Only the text of a folder has to stay below; a link is the user's word that the data lie elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "CamVid").symlink_to("../elsewhere")
    config = changed("datasets.street", BASE["datasets"]["street"] | {"adapter": "camvid", "root": "CamVid"})
    entry = validate(config | {"data_root": str(tmp_path / "data")}, schema)["datasets"]["street"]
    open_dataset(entry, tmp_path / "data", name="street")
    with pytest.raises(ConfigError, match=r"^datasets\.street\.root: \.\./elsewhere lies outside"):
        open_dataset(entry | {"root": "../elsewhere"}, tmp_path / "data", name="street")


def test_a_key_of_an_earlier_version_says_what_to_write(schema):
    with pytest.raises(
        ConfigError, match=r"key dask_scheduler is not read any more: write `dask: \{scheduler: tcp://…\}`"
    ):
        validate(BASE | {"dask_scheduler": "tcp://node:8786"}, schema)


@pytest.mark.parametrize("scheduler", ["threads", "distributed", "slurm", "tcp://node:8786", "tls://10.0.0.1:1"])
def test_schedulers(schema, scheduler):
    assert validate(changed("dask.scheduler", scheduler), schema)["dask"]["scheduler"] == scheduler


def test_an_address_of_the_wrong_form_is_not_shown(schema):
    with pytest.raises(
        ConfigError, match=r"key mirror is 'ftp…mirror\.example/files…, which is not of the form it needs"
    ) as caught:
        validate(changed("mirror", "ftp://user:s3cret@mirror.example/files?token=t0ken"), schema)
    assert "s3cret" not in str(caught.value) and "t0ken" not in str(caught.value)


@pytest.mark.parametrize("address", ["https://mirror.example/files?token=t0ken", "file:///files#part"])
def test_a_mirror_has_nothing_behind_its_path(schema, address):
    """Names of files come there."""
    with pytest.raises(ConfigError, match=r"key mirror .*without a query") as caught:
        validate(changed("mirror", address), schema)
    assert "t0ken" not in str(caught.value)


def test_a_penalty_that_rounding_would_decide_is_refused(schema):
    with pytest.raises(ConfigError, match=r"key global_context\.penalties\.0: 1e-12 is less than the minimum of 1e-09"):
        validate(changed("global_context.penalties", [1e-12, 1.0]), schema)


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [("url", "https://a/w.pth", "https://b/w.pth"), ("sha256", "0" * 8, "1" * 64), ("md5", "abcdef", "abcdee")],
)
def test_one_file_that_two_models_say_different_things_of_is_refused(schema, key, one, other):
    plain = {"source": "timm", "architecture": "vit_base_patch16_224"}
    models = {"m": plain | {"checkpoint": "w.pth", key: one}, "n": plain | {"checkpoint": "x/../w.pth", key: other}}
    message = rf"keys models\.m\.{key} and models\.n\.{key} differ \({one}, {other}\), but both checkpoints are the file w\.pth: let them agree, or give"
    with pytest.raises(ConfigError, match=message):
        validate(BASE | {"models": models}, schema)
    models["n"]["checkpoint"] = "v.pth"
    validate(BASE | {"models": models}, schema)


def test_one_file_with_two_addresses_and_one_digest_is_one(schema):
    plain = {"source": "timm", "architecture": "vit_base_patch16_224", "checkpoint": "w.pth"}
    models = {"m": plain | {"url": "https://a/w.pth", "sha256": "0" * 64}, "n": plain | {"url": "https://b/w.pth"}}
    models["n"]["sha256"] = "0" * 8
    validate(BASE | {"models": models}, schema)
    validate(BASE | {"models": {"m": models["m"], "n": plain}}, schema)


def test_computed_positions_are_for_files_that_may_be_scale_maes(schema):
    with pytest.raises(
        ConfigError, match=r"(?s)models\.m\.position_embedding is gsd, which puts Scale-MAE's .*layout is msn: remove"
    ):
        validate(BASE | {"models": {"m": {"registry": "msn", "position_embedding": "gsd"}}}, schema)


def test_addresses_of_one_file_are_told_without_their_secrets(schema):
    plain = {"source": "timm", "architecture": "vit_base_patch16_224", "checkpoint": "w.pth"}
    models = {"m": plain | {"url": "https://me:secret@a/w.pth?key=secret"}, "n": plain | {"url": "https://b/w.pth"}}
    with pytest.raises(ConfigError, match=r"models\.m\.url and models\.n\.url differ") as caught:
        validate(BASE | {"models": models}, schema)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", NO_DATA_SETS)
def test_no_data_set_is_named_like_a_folder_of_results(schema, name):
    config = copy.deepcopy(BASE)
    config["datasets"] = {name: next(iter(config["datasets"].values()))}
    with pytest.raises(ConfigError, match=rf"name '{name}' under datasets .*, and not .*{name}"):
        validate(config, schema)
