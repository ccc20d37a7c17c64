"""Frozen backbones behind one small interface: normalised images in, patch tokens of chosen blocks out.

A model's `source` in the config names the module that builds it: source ``timm`` is ``models/timm_source.py``,
whose ``SOURCE`` is a :class:`Source`. There is no list to edit: a new source is one new file.
"""

import importlib
import json
import math
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from patchprobe.errors import ConfigError, DeviceError, ModelError, suggestion
from patchprobe.models import sources
from patchprobe.models.ground import RECIPE_DISTANCE, SENSOR
from patchprobe.own_files import read_mapping

Norm = Literal["final", "parameter-free", "none"]


@dataclass(frozen=True)
class Tokens:
    """Tokens of L blocks for B images, floating point, on the model's device.

    ``patch`` is (L, B, N, D) with the N patches in row-major order; ``cls`` is (L, B, D) or None; ``registers``
    is (L, B, R, D) or None and holds every prefix token that is not [CLS] (registers, a distillation token).
    """

    patch: torch.Tensor
    cls: torch.Tensor | None
    registers: torch.Tensor | None


class Backbone(Protocol):
    """A frozen model; all attributes are fixed once it is built.

    ``grid`` is (rows, columns) of patches, ``features`` the length of a token, ``blocks`` the number of blocks,
    ``registers`` the number of prefix tokens besides [CLS], ``input_size`` the images' rows and columns in pixels.
    ``mean`` and ``std`` are per channel, for pixels scaled to 0..1. ``provenance`` holds JSON values: architecture,
    checkpoint and its sha256, input size, normalisation, token norm, position embedding, library versions.
    """

    name: str
    grid: tuple[int, int]
    features: int
    blocks: int
    registers: int
    has_cls: bool
    input_size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    provenance: dict[str, Any]

    def tokens(
        self, images: torch.Tensor, layers: Sequence[int], ground_sample_distances: torch.Tensor | None = None
    ) -> Tokens:
        """Return the tokens of the given blocks (1-based, increasing) from one forward pass.

        ``images`` is a normalised float tensor (B, 3, *input_size) on the model's device. The last
        block always carries the model's own final norm, whatever the inner ones carry. A model whose position embedding
        depends on it takes ``ground_sample_distances`` (B,), in metres per pixel of its input; no other is given them.
        """
        ...


class Source(Protocol):
    """Builds a model from its config entry; raises ModelError naming the key at fault."""

    def __call__(
        self,
        name: str,
        entry: Mapping[str, Any],
        *,
        checkpoint_root: Path,
        input_size: tuple[int, int],
        norm: Norm,
        device: str,
        ground_sample_distance: float | None,
    ) -> Backbone:
        """Return the model ``models.<name>`` for images of ``input_size``, in evaluation mode, on ``device``."""
        ...


def load_model(
    name: str,
    entry: Mapping[str, Any],
    *,
    checkpoint_root: Path,
    input_size: int | Sequence[int],
    device: str,
    norm: Norm = "final",
    ground_sample_distance: float | None = None,
) -> Backbone:
    """Build the model ``models.<name>`` of the config.

    ``entry`` is its config entry, ``input_size`` the image side, or rows and columns, in pixels where the entry's own
    is null (the tile size), ``norm`` what inner blocks carry: the model's final norm, a parameter-free LayerNorm, or
    nothing. ``ground_sample_distance`` is the size of a pixel of the model's input on the ground, in metres, where the
    entry's own is null or ``sensor``; only models whose position embedding depends on it use it. Without either null is 1 m, the
    recipe of Scale-MAE's author.
    Raises ConfigError for an unknown source, DeviceError if torch cannot use the device, ModelError otherwise.
    """
    own = entry.get("ground_sample_distance")
    distance = ground_sample_distance if own in (None, SENSOR) else own
    if distance is None and own is None:
        distance = RECIPE_DISTANCE
    if distance is not None and not (math.isfinite(distance) and distance > 0):
        raise ModelError(f"models.{name}.ground_sample_distance is {distance}; give a positive number of metres")
    source = str(entry["source"])
    try:
        module = importlib.import_module(f"{sources.__name__}.{source.replace('-', '_')}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(sources.__name__):
            raise
        raise _unknown_source(name, source) from None
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(
            f"device: torch {torch.__version__} cannot use the GPU (missing or too old driver, or a build without "
            "CUDA); install a torch build that fits the driver, or set device: cpu"
        )
    build: Source = module.SOURCE
    return build(
        name,
        entry,
        checkpoint_root=checkpoint_root,
        input_size=_rows_columns(entry.get("input_size") or input_size),
        norm=norm,
        device=device,
        ground_sample_distance=distance,
    )


def describe_model(
    name: str,
    entry: Mapping[str, Any],
    *,
    checkpoint_root: Path,
    input_size: int | Sequence[int],
    ground_sample_distance: float | None = None,
) -> str:
    """Build a model on the CPU and return what it is, as JSON.

    Raises what :func:`load_model` raises, so that a wrong name or file is known before anything expensive.
    """
    model = load_model(
        name,
        entry,
        checkpoint_root=checkpoint_root,
        input_size=input_size,
        device="cpu",
        ground_sample_distance=ground_sample_distance,
    )
    if model.blocks < 1:
        raise ModelError(
            f"models.{name}.arguments: the network has no blocks, so no tokens to look at; set depth to 1 or more"
        )
    facts = ("input_size", "grid", "features", "blocks", "registers", "has_cls", "provenance")
    return json.dumps({key: getattr(model, key) for key in facts}, indent=1, sort_keys=True) + "\n"


def check_card(model: Backbone, card: Path) -> None:
    """Raise ModelError if the checkpoint of a model is another file than the one that its card describes.

    ``card`` is what :func:`describe_model` wrote: the checkpoint's SHA-256 is on it. Raises StoreError for a damaged card.
    """
    inspected = read_mapping(card, {"provenance": dict})["provenance"].get("checkpoint_sha256")
    found = model.provenance.get("checkpoint_sha256")
    if inspected != found:
        raise ModelError(
            f"models.{model.name}.checkpoint: {model.provenance['checkpoint']} was replaced since it was inspected (sha256 "
            f"{inspected} then, {found} now); delete {card} and run again"
        )


def _rows_columns(size: int | Sequence[int]) -> tuple[int, int]:
    rows, columns = (size, size) if isinstance(size, int) else size
    return int(rows), int(columns)


def _unknown_source(name: str, source: str) -> ConfigError:
    modules = (module.name for module in pkgutil.iter_modules(sources.__path__))
    known = sorted(module.replace("_", "-") for module in modules)
    hint = suggestion(source, known)
    return ConfigError(f"models.{name}.source: unknown source {source!r}; {hint} Known: {', '.join(known)}")
