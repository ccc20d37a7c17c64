"""Whole images in a configuration: what jobs depend on, what models are told, and keys that do not go together."""

import copy

import pytest

from patchprobe.analyses.declaring import analyses, kinds_of
from patchprobe.config import specs
from patchprobe.config.validation import load_schema, validate
from patchprobe.errors import ConfigError

WHOLE = {"size": 256, "resize": 128, "image_size": [256, 256]}
SPLITS = {"evaluation": {"source": "all", "per_class": 2}, "train": {"source": "all"}}
CONFIG = {
    "datasets": {
        "land": {"adapter": "ucmerced", "root": "u", "splits": SPLITS, "tiling": WHOLE, "ground_sample_distance": 0.3},
        "scenes": {"adapter": "resisc45", "root": "r", "splits": SPLITS, "tiling": WHOLE},
    },
    "models": {
        "mae": {"variants": {"less": {"transform": "drop-top-variance", "features": 20}}},
        "scalemae": {},
        "told": {"registry": "scalemae", "ground_sample_distance": 2.0},
    },
}
STREETS = {
    "adapter": "synthetic",
    "splits": {"train": {"source": "train"}, "evaluation": {"source": "val"}},
    "tiling": {"size": 64},
}
VALUES = {
    "card of mae": lambda c: specs.image_features_card(c, "land", "mae"),
    "card of scalemae": lambda c: specs.image_features_card(c, "land", "scalemae"),
    "features of mae": lambda c: specs.image_features(c, "mae"),
    "features of scalemae": lambda c: specs.image_features(c, "scalemae"),
    "accuracy of mae": lambda c: analysis("image_knn").options(c, "land", "mae"),
    "accuracy of scalemae": lambda c: analysis("image_knn").options(c, "land", "scalemae"),
}
CARDS, FEATURES = {"card of mae", "card of scalemae"}, {"features of mae", "features of scalemae"}
ACCURACY = {"accuracy of mae", "accuracy of scalemae"}


def analysis(name):
    return next(one for one in analyses() if one.name == name)


@pytest.fixture(scope="module")
def schema(repository):
    return load_schema(repository / "config/schema/config.schema.yaml")


def changed(config, key, value):
    edited = copy.deepcopy(config)
    *path, last = key.split(".")
    entry = edited
    for part in path:
        entry = entry.setdefault(part, {})
    entry[last] = value
    return edited


@pytest.mark.parametrize(
    ("key", "value", "stale"),
    [
        ("image_knn.relative_sizes", [0.5, 1.0], CARDS),
        ("image_knn.distances", ["recipe"], {"card of scalemae"}),
        ("image_knn.k", 5, ACCURACY),
        ("image_knn.temperature", 0.1, ACCURACY),
        ("image_knn.steps", 5, ACCURACY),
        ("image_knn.models", ["mae"], set()),
        ("datasets.land.ground_sample_distance", 0.6, {"card of scalemae"}),
        ("datasets.land.tiling.resize", 64, CARDS),
        ("device", "cpu", FEATURES),
        ("extraction.precision", "bf16", FEATURES),
        ("extraction.dtype", "float32", set()),
        ("extraction.layers.clean", "last", set()),
        ("extraction.norm", "none", set()),
        ("models.mae.variants.less.features", 30, {"accuracy of mae"}),
        ("models.mae.probe.batch_norm", False, {"accuracy of mae"}),
        ("models.mae.position_embedding", "timm", {"card of mae", "features of mae"}),
        ("patch_classification.bootstrap.resamples", 500, ACCURACY),
        ("seed", 1, ACCURACY),
    ],
)
def test_values_are_those_of_the_keys_that_a_rule_uses(schema, key, value, stale):
    before, after = (validate(config, schema) for config in (CONFIG, changed(CONFIG, key, value)))
    assert {name for name, of in VALUES.items() if of(before) != of(after)} == stale


def test_what_models_are_told(schema):
    config = validate(CONFIG, schema)

    def told(dataset, model):
        return {one["told"]: one["metres"] for one in specs.image_settings(config, dataset, model)}

    assert told("land", "mae") == {"": None}
    # 0.3 m per pixel of 256, which are stored as 128.
    assert told("land", "scalemae") == {"recipe": 1.0, "sensor": pytest.approx(0.6)}
    assert told("scenes", "scalemae") == {"recipe": 1.0}
    # 2 m per pixel of its input of 224, whatever the data set says.
    assert told("land", "told") == {"recipe": 1.0, "sensor": pytest.approx(3.5)} == told("scenes", "told")
    unknown = {d: specs.image_features_card(config, d, "scalemae")["unknown"] for d in ("land", "scenes")}
    assert unknown == {"land": [], "scenes": ["sensor"]}
    assert specs.image_features_card(config, "scenes", "mae")["unknown"] == []
    sizes = [one["relative_size"] for one in specs.image_settings(config, "land", "scalemae")]
    assert sizes == [0.125, 0.25, 0.5, 1.0] * 2
    # Its card for tiles is built for something, too.
    assert specs.model_card(config, "scenes", "scalemae")["ground_sample_distance"] == 1.0
    assert specs.model_card(config, "land", "scalemae")["ground_sample_distance"] == 1.0
    true = validate(changed(CONFIG, "models.scalemae", {"ground_sample_distance": "sensor"}), schema)
    assert specs.model_card(true, "land", "scalemae")["ground_sample_distance"] == pytest.approx(0.3 * 256 / 224)
    assert specs.image_settings(true, "land", "scalemae") == specs.image_settings(config, "land", "scalemae")


def test_nothing_else_is_asked_for_of_whole_images(schema):
    config = validate(CONFIG, schema)
    assert {one.name for one in analyses() if one.datasets(config)} == {"data_sets", "image_knn", "results"}
    assert kinds_of(config, "land") == []
    files = [path for one in analyses() for path in one.report_files(config)]
    assert sorted(files) == sorted(
        ["results/pages/results.html"]
        + [
            f"results/tables/{name}.{suffix}"
            for name in ("datasets", "image_knn")
            for suffix in ("csv", "md", "tex", "html")
        ]
        + [f"results/figures/image_knn.{name}.{suffix}" for name in ("land", "scenes") for suffix in ("svg", "png")]
    )
    both = validate(changed(CONFIG, "datasets.streets", {**STREETS, "ground_sample_distance": 1.0}), schema)
    assert analysis("image_knn").datasets(both) == ["land", "scenes"]
    assert (
        analysis("variance_spectrum").datasets(both) == ["streets"]
        and analysis("variance_overlap").datasets(both) == []
    )
    # Videos have too many patches for a spectrum.
    video = {
        **STREETS,
        "adapter": "bdd100k",
        "ground_sample_distance": 1.0,
        "splits": {"evaluation": {"source": "val"}},
    }
    three = validate(changed(CONFIG, "datasets.film", video), schema)
    assert analysis("tracking").datasets(three) == ["film"] and analysis("variance_spectrum").datasets(three) == []
    turned = {**three, "tracking": {**three["tracking"], "sizes": [96, 32]}}
    assert list(analysis("tracking").conflicts(turned)) == [
        "key tracking.sizes is [96, 32]: give the side of small boxes first, and a larger one"
    ]
    cards = analysis("data_sets").shown(both, analysis("data_sets").shows[0], ["land", "scenes", "streets"])["cards"]
    assert cards == [f"results/streets/features/{model}/card.json" for model in ("mae", "scalemae", "told")]


def test_models_that_are_named_alone(schema):
    config = validate(changed(CONFIG, "image_knn.models", ["mae"]), schema)
    assert analysis("image_knn").files(config) == [
        f"results/{name}/image_knn/mae.parquet" for name in ("land", "scenes")
    ]
    none = validate(changed(CONFIG, "image_knn.models", []), schema)
    assert not analysis("image_knn").files(none) and not analysis("image_knn").report_files(none)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "datasets.land.tiling.image_size",
            None,
            r"datasets\.land\.tiling\.image_size has to be \[256, 256\], tiling\.size",
        ),
        ("datasets.land.tiling.image_size", [256, 512], r"tiling\.image_size has to be \[256, 256\]"),
        ("datasets.land.splits", {"evaluation": {"source": "all"}}, r"datasets\.land\.splits\.train is missing"),
        ("datasets.land.corruptions", ["blur"], r"datasets\.land\.corruptions has no effect, .*: remove it"),
        ("image_knn.models", ["mea"], r"image_knn\.models names mea, which is not under models: did you mean mae\?"),
        ("image_knn.distances", ["sensor"], r"nothing tells scalemae that of scenes: give datasets\.scenes\.ground"),
        ("image_knn.distances", [], r"image_knn\.distances"),
        ("image_knn.relative_sizes", [2], r"image_knn\.relative_sizes"),
        ("image_knn.temperature", 0, r"image_knn\.temperature"),
        ("image_knn.k", 0, r"image_knn\.k"),
    ],
)
def test_keys_that_do_not_go_together(schema, key, value, message):
    with pytest.raises(ConfigError, match=message):
        validate(changed(CONFIG, key, value), schema)


def test_patches_need_a_distance_for_the_sensors(schema):
    both = changed(CONFIG, "datasets.streets", STREETS)
    assert specs.model_card(validate(both, schema), "streets", "scalemae")["ground_sample_distance"] == 1.0
    both = changed(both, "models.scalemae", {"ground_sample_distance": "sensor"})
    with pytest.raises(ConfigError, match=r"give datasets\.streets\.ground_sample_distance"):
        validate(both, schema)
