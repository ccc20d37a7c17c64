"""The paper's values that belong to the data sets and models of a configuration.

The values are data, ``paper_values.yaml``. A run compares with those whose data set it reads with the
same adapter from real files, and whose model it loads from the same weights, whatever names the configuration gives them.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from patchprobe.models.registered import registered_model
from patchprobe.own_files import read_yaml

FILE = Path(__file__).with_name("paper_values.yaml")


def comparable(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the values that a validated configuration can be compared with.

    Each has ``where`` in the paper, ``value``, and the columns that its measurements have: ``analysis``, ``dataset``,
    ``model`` and ``variant`` by their names in the configuration, ``method``, ``metric``, ``class``, ``at``, and
    ``layer`` (None for the last).
    """
    found = []
    for value in _content()["values"]:
        for dataset in official_datasets(config, value["dataset"]):
            for model in _models(config, value["model"]):
                names = [value.get("part", "")]
                if "variant" in value:
                    variants = config["models"][model]["variants"]
                    names = [name for name, entry in variants.items() if entry == value["variant"]]
                found += [_placed(value, dataset, model, name) for name in names]
    return found


def paper_images(config: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return the numbers of training and evaluation images of the paper, by the data set's name in a configuration."""
    images = _content()["images"]
    return {name: images[known] for known in images for name in official_datasets(config, known)}


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = read_yaml(FILE)
    return content


def _placed(value: Mapping[str, Any], dataset: str, model: str, variant: str) -> dict[str, Any]:
    plain = {key: value[key] for key in ("where", "analysis", "method", "metric", "value")}
    places = {"class": value.get("class", ""), "at": value.get("removed", 0), "layer": value.get("layer")}
    return plain | places | {"dataset": dataset, "model": model, "variant": variant}


def official_datasets(config: Mapping[str, Any], adapter: str) -> list[str]:
    """Return the data sets of a configuration that an adapter reads from real files."""
    entries = config["datasets"].items()
    return sorted(name for name, entry in entries if entry["adapter"] == adapter and entry["generate"] is None)


def _models(config: Mapping[str, Any], registered: str) -> list[str]:
    """Return the models with the weights of a registered one, wherever the file lies."""
    weights = registered_model(registered).entry["checkpoint"]
    entries = config["models"].items()
    return sorted(name for name, entry in entries if Path(entry.get("checkpoint") or "").name == weights)
