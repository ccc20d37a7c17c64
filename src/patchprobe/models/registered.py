"""The models that the project knows by name: one YAML file each in ``patchprobe/models/registry``.

The folder is data, and this module lies outside ``patchprobe.models.backbone``, so that reading a configuration does not import
torch and an edited file makes the jobs of its own model stale and no others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from patchprobe.errors import ConfigError, suggestion
from patchprobe.models.checkpoints.files import normalised
from patchprobe.own_files import read_yaml

FOLDER = Path(__file__).with_name("registry")
# Keys of an entry that say where its checkpoint can be had and how it is known to be the right one.
OF_THE_FILE = ("url", "sha256", "md5")


@dataclass(frozen=True)
class RegisteredModel:
    """What is known about a model, and the keys of its entry in a configuration.

    ``paper`` has title, authors, year and url; ``licence`` those of code and weights. ``native_size`` is the side of
    the images, in pixels, that the model is released for, ``patch_size`` the side of a patch, ``positions`` the kind of
    position embedding (absolute, relative, rotary, computed). ``get`` says how to come by the file, ``quirks`` what one
    has to know to read the results. ``entry`` holds keys of ``models.<name>`` as in the configuration.
    """

    title: str
    family: str
    paper: Mapping[str, Any]
    trained_on: str
    native_size: int
    patch_size: int
    positions: str
    licence: Mapping[str, str]
    get: str
    quirks: tuple[str, ...]
    entry: Mapping[str, Any]

    @property
    def input_size(self) -> int:
        """Side of the input in pixels: the entry's, or the one that the model is released for."""
        return int(self.entry.get("input_size") or self.native_size)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches at the input size."""
        side = self.input_size // self.patch_size
        return side, side


def registered_models(folder: Path = FOLDER) -> list[str]:
    """Return the names of all models of the registry, sorted."""
    return sorted(file.stem for file in folder.glob("*.yaml"))


def registered_model(name: str, folder: Path = FOLDER) -> RegisteredModel:
    """Read a model of the registry; raises ConfigError naming the file and the key if it is not as it has to be."""
    file = folder / f"{name}.yaml"
    try:
        content = read_yaml(file)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML ({' '.join(str(error).split())}): correct it") from error
    facts = _part(content, "model", file)
    expected = {field.name for field in fields(RegisteredModel)} - {"entry"}
    for kind, keys in (("missing", expected - facts.keys()), ("unknown", facts.keys() - expected)):
        if keys:
            raise ConfigError(f"{file}: {kind} under model: {', '.join(sorted(keys))}; correct the file")
    return RegisteredModel(**{**facts, "quirks": tuple(facts["quirks"])}, entry=_part(content, "entry", file))


def resolve(name: str, entry: Mapping[str, Any] | None, folder: Path = FOLDER) -> dict[str, Any]:
    """Return the entry ``models.<name>`` with the keys that it takes from the registry.

    That is the model that its key ``registry`` names, or without ``source`` and ``registry`` the one of its own name.
    Keys of the entry win, inside nested mappings too; ``registry`` itself is gone. The registry's ``url``, ``sha256`` and ``md5``
    belong to its ``checkpoint`` and go if the entry names another file, and with them a decoder in a file of its own, which was
    trained with that encoder, and the normalisation where another file tells its own; those of a decoder go likewise.
    ``checkpoint`` is in its shortest form. Raises ConfigError naming the key and the nearest names if there is no such model.
    """
    own = _shortest(dict(entry or {}))
    if isinstance(own.get("decoder"), Mapping):
        own["decoder"] = _shortest(dict(own["decoder"]))
    wanted = own.pop("registry", None)
    if wanted is None and "source" in own:
        return own
    known = registered_models(folder)
    model = name if wanted is None else wanted
    if model not in known:
        near = suggestion(model, known)
        hint = f" ({near})" if near else ""
        raise ConfigError(
            f"key models.{name}.source is missing, and the registry has no model {name}{hint}: give a source, or "
            f"registry: one of {', '.join(known)}"
            if wanted is None
            else f"key models.{name}.registry is {wanted!r}, allowed are {', '.join(known)}{hint}"
        )
    registered = registered_model(model, folder).entry
    if own.get("source", registered["source"]) != registered["source"]:
        raise ConfigError(
            f"key models.{name}.source is {own['source']!r}, but the model {model} of the registry has source "
            f"{registered['source']}: leave out source or registry"
        )
    if "checkpoint" in own and own["checkpoint"] != registered.get("checkpoint"):
        # The names in a file of DINOv3 tell whether it was trained on satellite images.
        told = ("mean", "std") if registered.get("layout") == "dinov3" else ()
        registered = {key: value for key, value in registered.items() if key not in (*OF_THE_FILE, *told)}
        if (registered.get("decoder") or {}).get("checkpoint"):
            registered["decoder"] = None
    theirs, ours = registered.get("decoder"), own.get("decoder")
    if (
        theirs
        and isinstance(ours, Mapping)
        and ours.get("checkpoint", theirs.get("checkpoint")) != theirs.get("checkpoint")
    ):
        kept = {key: value for key, value in theirs.items() if key not in OF_THE_FILE}
        registered = {**registered, "decoder": kept}
    return _merged(registered, own)


def _shortest(entry: dict[str, Any]) -> dict[str, Any]:
    file = entry.get("checkpoint")
    return entry | {"checkpoint": normalised(file)} if isinstance(file, str) and file else entry


def _merged(base: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        merged[key] = _merged(base[key], value) if both else value
    return merged


def _part(content: Any, key: str, file: Path) -> dict[str, Any]:
    part = content.get(key) if isinstance(content, dict) else None
    if not isinstance(part, dict):
        raise ConfigError(f"{file} has no mapping {key!r}: add it")
    return part


def position_method(entry: Mapping[str, Any]) -> str | None:
    """Return the method of a model's position embedding; the layout of Scale-MAE alone computes positions by itself."""
    method: str | None = entry.get("position_embedding")
    return "gsd" if method is None and entry.get("layout") == "scalemae" else method
