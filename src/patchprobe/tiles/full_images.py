"""Models for full images: the size of their input, and whether they can be built for it."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from patchprobe.errors import ModelError
from patchprobe.models.backbone import describe_model
from patchprobe.own_files import read_mapping
from patchprobe.tiles.tiling import Tiling

_log = logging.getLogger(__name__)


def full_input_size(card: Mapping[str, Any], tile: tuple[int, int], full: tuple[int, int]) -> tuple[int, int]:
    """Return the model's input for full images, (rows, columns) in px, on which a patch covers what it does on tiles.

    ``card`` has ``input_size`` and ``grid`` of the model for tiles, ``tile`` and ``full`` are the stored sizes of a tile
    and of a full image. Where whole patches do not fit, each side is that of the nearest number of them.
    """
    grid, size = card["grid"], card["input_size"]
    rows, columns = (
        max(1, round(whole * patches / side)) * (pixels // patches)
        for whole, side, patches, pixels in zip(full, tile, grid, size, strict=True)
    )
    return rows, columns


def describe_for_full_images(
    name: str,
    entry: Mapping[str, Any],
    card: Mapping[str, Any],
    *,
    checkpoint_root: Path,
    tiling: Tiling,
    whole: Tiling,
) -> str:
    """Build the model ``models.<name>`` for full images on the CPU and return what it is, as JSON.

    ``card`` describes it for tiles of ``tiling``; ``whole`` is the tiling of full images. The position embedding is
    interpolated as the entry says, or refused. Says in the log where images are resized to whole patches. Raises
    ModelError for a model that cannot be built for another input size than that of tiles.
    """
    rows, columns = full_input_size(card, tiling.stored, whole.stored)
    exact = tuple(
        full * pixels / side for full, pixels, side in zip(whole.stored, card["input_size"], tiling.stored, strict=True)
    )
    if (rows, columns) != exact:
        _log.info(
            "%s: full images of %g x %g px at the scale of tiles are resized to %d x %d px, whole patches",
            name,
            *exact,
            rows,
            columns,
        )
    try:
        return describe_model(
            name,
            {**entry, "input_size": [rows, columns]},
            checkpoint_root=checkpoint_root,
            input_size=[rows, columns],
        )
    except ModelError as error:
        raise ModelError(
            f"full_images.models: {name} cannot see full images, {rows} x {columns} px: take it out of the list ({error})"
        ) from error


def read_card(path: Path) -> dict[str, Any]:
    """Read the card of a model; raises StoreError that names the file if it is damaged."""
    return read_mapping(path, {"grid": list, "input_size": list})


def tiles_each(card: Mapping[str, Any], full: Mapping[str, Any]) -> float:
    """Return how many tiles a full image is worth, by the patch grids on the cards of a model for both."""
    return math.prod(full["grid"]) / math.prod(card["grid"])
