"""What jobs depend on: the values of a validated configuration that decide whether their results are stale.

Each function returns the values of one rule's jobs, which are their ``spec``: a job runs again if any of them changes, and
for no other key. Names are those of the wildcards: of data sets, models, corruptions and objectives in the configuration.
"""

from collections.abc import Mapping
from typing import Any

from patchprobe.datasets.annotations import (
    IDENTITIES,
    LABEL_MAPS,
    annotations,
    says_ground_sample_distance,
    whole_images_alone,
)
from patchprobe.errors import ConfigError
from patchprobe.files import file_sha256
from patchprobe.models.checkpoints.files import packaged_curve
from patchprobe.models.ground import RECIPE_DISTANCE, SENSOR
from patchprobe.models.registered import position_method

Config = Mapping[str, Any]
Values = dict[str, Any]

# Of a model, what its tokens do not depend on: the options of its probe, its variants, its decoder, the address of its checkpoint.
# The size of a pixel on the ground is a value of model and data set.
_NO_PART_OF_THE_MODEL = ("probe", "variants", "url", "ground_sample_distance", "decoder")


def dataset(config: Config, name: str) -> Values:
    """Return what identifies the pixels of a data set, and the classes in each of its images."""
    entry = config["datasets"][name]
    values = {key: entry[key] for key in ("adapter", "root", "options")}
    if entry["generate"]:
        return {"name": name, "data_root": f"results/{name}", "dataset": values | {"root": "raw"}}
    return {"name": name, "data_root": config["data_root"] if entry["root"] else "", "dataset": values}


def generation(config: Config, dataset: str) -> Values:
    """Return what a generated data set depends on."""
    return {"name": dataset, "generate": config["datasets"][dataset]["generate"]}


def present_classes(config: Config, name: str, source: str) -> Values:
    """Return what the classes in each image of a split depend on, or in each tile if it is tiles that are drawn."""
    entry = config["datasets"][name]
    by_tile = any(s["source"] == source and s["tiles_per_class"] is not None for s in entry["splits"].values())
    return {**dataset(config, name), **({"tile": entry["tiling"]["size"]} if by_tile else {})}


def index(config: Config, name: str) -> Values:
    """Return what the draw of images depends on; of tiling, only what has to fit."""
    entry = config["datasets"][name]
    tiling = {key: entry["tiling"][key] for key in ("size", "image_size")}
    return {**dataset(config, name), "seed": config["seed"], "splits": entry["splits"], "tiling": tiling}


def tiles(config: Config, name: str) -> Values:
    """Return what tiles and their label maps depend on, beside the draw of images."""
    return {**dataset(config, name), "tiling": config["datasets"][name]["tiling"]}


def objects(config: Config, name: str) -> Values:
    """Return what the table of objects in the frames of a data set depends on, beside its images."""
    return dataset(config, name)


def corruption(config: Config, name: str, kind: str) -> Values:
    """Return what the tiles of a data set under one corruption depend on."""
    return {**tiles(config, name), "seed": config["seed"], "kind": kind, "corruption": config["corruptions"][kind]}


def model(config: Config, name: str) -> Values:
    """Return what identifies a model."""
    entry = config["models"][name]
    return {
        "name": name,
        "model": {key: value for key, value in entry.items() if key not in _NO_PART_OF_THE_MODEL},
        "checkpoint_root": config["checkpoint_root"] if entry.get("checkpoint") else "",
    }


def model_card(config: Config, dataset: str, name: str) -> Values:
    """Return what the description of a model on a data set depends on."""
    own = config["models"][name].get("input_size")
    tile = config["datasets"][dataset]["tiling"]["resize"]
    return {**model(config, name), **_ground(config, dataset, name), "input_size": own or tile}


def extraction(config: Config, dataset: str, name: str, version: str) -> Values:
    """Return what the tokens of a model depend on, for one version of a data set: ``clean`` or a corruption."""
    values = _extraction(config)
    layers = values["layers"]["clean" if version == "clean" else "corrupted"]
    annotated = annotations(config["datasets"][dataset]["adapter"], dataset)
    if IDENTITIES in annotated and LABEL_MAPS not in annotated:
        # Videos have many frames, and no analysis of theirs looks at inner blocks.
        layers = "last"
    return {
        **model(config, name),
        **_ground(config, dataset, name),
        "device": config["device"],
        "extraction": {**values, "layers": layers},
    }


def _extraction(config: Config) -> Values:
    """Return how tokens are computed, without what changes no token."""
    return {key: value for key, value in config["extraction"].items() if key != "shards"}


def black(config: Config, dataset: str, name: str) -> Values:
    """Return what the tokens of a model depend on, of a black image of the size that it sees tiles at.

    Where tiles are seen each at its own ground sample distance, it is at the one that the model is built for.
    """
    values = extraction(config, dataset, name, "clean")
    return {key: value for key, value in values.items() if key != "ground_of_images"}


def full_images_card(config: Config, dataset: str, name: str) -> Values:
    """Return what the description of a model on full images depends on."""
    return {**model(config, name), "tiling": config["datasets"][dataset]["tiling"]}


def full_images_extraction(config: Config, name: str) -> Values:
    """Return what the tokens of a model depend on, of full images."""
    values = {**_extraction(config), "layers": "last"}
    return {**model(config, name), "device": config["device"], "extraction": values}


def image_features_card(config: Config, dataset: str, name: str) -> Values:
    """Return what the settings depend on in which a model sees whole images; see :func:`image_settings`."""
    side, settings = config["datasets"][dataset]["tiling"]["resize"], image_settings(config, dataset, name)
    told = {one["told"] for one in settings}
    unknown = [] if told == {""} else [kind for kind in config["image_knn"]["distances"] if kind not in told]
    return {**model(config, name), "dataset": dataset, "stored": side, "settings": settings, "unknown": unknown}


def image_features(config: Config, name: str) -> Values:
    """Return what the pooled features of a model depend on, beside the settings on its card."""
    own = {key: config["extraction"][key] for key in ("precision", "batch_size")}
    return {**model(config, name), "device": config["device"], "extraction": own}


def image_settings(config: Config, dataset: str, name: str) -> list[Values]:
    """Return the settings in which a model sees whole images: ``relative_size``, ``told``, and ``metres``.

    ``told`` is empty for a model whose position embedding does not depend on the ground sample distance. Otherwise it is
    ``recipe``, and ``metres`` are those per pixel of the model's input at every size, or ``sensor``, and ``metres`` are those per
    pixel of the stored image, for a data set or model that says them.
    """
    told: dict[str, float | None] = {"": None}
    if position_method(config["models"][name]) == "gsd":
        known = {"recipe": RECIPE_DISTANCE, "sensor": _sensor_distance(config, dataset, name)}
        told = {kind: known[kind] for kind in config["image_knn"]["distances"] if known[kind] is not None}
    return [
        {"relative_size": size, "told": kind, "metres": metres}
        for kind, metres in told.items()
        for size in sorted(config["image_knn"]["relative_sizes"])
    ]


def _sensor_distance(config: Config, dataset: str, name: str) -> float | None:
    """Return the side of a pixel of the stored images on the ground, in metres, or None if nobody says it."""
    entry, data = config["models"][name], config["datasets"][dataset]
    own, stored = entry["ground_sample_distance"], data["tiling"]["resize"]
    if own in (None, SENSOR):
        metres = data["ground_sample_distance"]
        return None if metres is None else float(metres) * data["tiling"]["size"] / stored
    side = entry["input_size"] or stored
    return float(own) * (side if isinstance(side, int) else side[0]) / stored


def decoder_card(config: Config, dataset: str, name: str) -> Values:
    """Return what the description of a model's decoder on a data set depends on."""
    decoder = {key: value for key, value in config["models"][name]["decoder"].items() if key != "url"}
    root = config["checkpoint_root"] if decoder["checkpoint"] else ""
    masked = config["reconstruction"]["masked"]
    return {**model_card(config, dataset, name), "decoder": decoder, "decoder_root": root, "masked": masked}


def reconstruction(config: Config, dataset: str, name: str) -> Values:
    """Return what reconstructed tiles of a data set depend on, beside tiles, cards and the variance of features."""
    own = {key: value for key, value in config["reconstruction"].items() if key not in ("enabled", "models")}
    return {
        **decoder_card(config, dataset, name),
        **own,
        "dataset": dataset,
        "device": config["device"],
        "batch_size": config["extraction"]["batch_size"],
        "seed": config["seed"],
    }


def variant(config: Config, model: str, name: str) -> Values:
    """Return what identifies a variant of a model: its entry (None for the model as it is, without name) and its key.

    Raises ConfigError if the model has no such variant.
    """
    variants = config["models"][model]["variants"]
    if name and name not in variants:
        raise ConfigError(f"models.{model}.variants has no {name}: add it, or ask for another target")
    return {"transform": variants[name] if name else None, "key": f"models.{model}.variants.{name}"}


def probe(config: Config, model: str, name: str) -> Values:
    """Return what the linear probe of a variant of a model depends on, beside tokens and labels."""
    return {
        **variant(config, model, name),
        "linear": config["patch_classification"]["linear"],
        "probe": config["models"][model]["probe"],
        "seed": config["seed"],
    }


def patch_classification(config: Config, dataset: str, model: str, name: str, version: str) -> Values:
    """Return what patch classification of a variant of a model depends on, beside tokens, labels and probe."""
    return {
        **variant(config, model, name),
        "dataset": dataset,
        "model": model,
        "variant": name,
        "corruption": version,
        "bootstrap": config["patch_classification"]["bootstrap"],
        "seed": config["seed"],
    }


def pretraining_images(config: Config) -> Values:
    """Return what the images to pretrain on depend on."""
    images = config["pretraining"]["images"]
    return {"images": images, "seed": config["seed"], "data_root": config["data_root"] if images["folder"] else ""}


def pretraining(config: Config, objective: str) -> Values:
    """Return what a network depends on that is pretrained by an objective."""
    own = config["pretraining"]
    keys = ("architecture", "crop", "images", "precision", "region", "save_every", "threads", "warmup")
    return {
        **{key: own[key] for key in keys},
        "objective": objective,
        "training": own["objectives"][objective],
        "device": config["device"],
        "seed": config["seed"],
    }


def packaged_losses(config: Config) -> Values:
    """Return the loss curves of the models whose weights come with the package: file and SHA-256 by model.

    They are no input files, since their paths would tie the figure to the place of the checkout.
    """
    curves = {name: packaged_curve(entry) for name, entry in sorted(config["models"].items())}
    return {"losses": {name: [curve.name, file_sha256(curve)] for name, curve in curves.items() if curve}}


def ground_sample_distance(config: Config, dataset: str, model: str) -> float | None:
    """Return the side of a pixel of the model's input on the ground, in metres, or None if the model does not use it.

    That is the model's own ``ground_sample_distance``, that of the author's recipe if it has none, and if it is ``sensor`` the
    data set's per pixel of its images times the factor by which a tile is made smaller for the model. It is None too where
    images have to say it, and that of the recipe for whole images of which nobody says it. Raises ConfigError if it is needed
    and not known.
    """
    entry, data = config["models"][model], config["datasets"][dataset]
    if position_method(entry) != "gsd":
        return None
    if isinstance(entry["input_size"], list) and len(set(entry["input_size"])) > 1:
        raise ConfigError(
            f"key models.{model}.input_size is {entry['input_size']}, but position_embedding gsd is defined for square "
            "images: give one number"
        )
    if entry["ground_sample_distance"] is None:
        return RECIPE_DISTANCE
    if entry["ground_sample_distance"] != SENSOR:
        return float(entry["ground_sample_distance"])
    if data["ground_sample_distance"] is None:
        if says_ground_sample_distance(data["adapter"]):
            return None
        if whole_images_alone(data["adapter"]):
            return RECIPE_DISTANCE
        raise ConfigError(
            f"key models.{model}.ground_sample_distance is {SENSOR}, and nothing tells that of {dataset}: give "
            f"datasets.{dataset}.ground_sample_distance (metres per pixel of its images), a number of metres per pixel of the "
            "model's input, or leave it out for the recipe of Scale-MAE's author"
        )
    size = entry["input_size"] or data["tiling"]["resize"]
    side = size if isinstance(size, int) else size[0]
    return float(data["ground_sample_distance"]) * data["tiling"]["size"] / side


def _ground(config: Config, dataset: str, model: str) -> Values:
    """Return the size of a pixel on the ground, for a model that uses it."""
    entry, data = config["models"][model], config["datasets"][dataset]
    distance = ground_sample_distance(config, dataset, model)
    own = entry.get("ground_sample_distance") == SENSOR and position_method(entry) == "gsd"
    if own and says_ground_sample_distance(data["adapter"]):
        # The model is built for some distance, and sees each image at its own.
        return {"ground_sample_distance": distance or RECIPE_DISTANCE, "ground_of_images": {"otherwise": distance}}
    return {} if distance is None else {"ground_sample_distance": distance}
