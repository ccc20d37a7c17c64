"""Models for whole images of several sizes: which settings there are, and whether a model can be built for each.

A setting is a relative size and what a model is told of the ground. The image is made smaller by the relative size, to the
nearest number of whole patches, and the model sees it at that size.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from patchprobe.errors import ModelError
from patchprobe.models.backbone import Backbone, check_card, load_model
from patchprobe.own_files import damaged, read_mapping

RECIPE, SENSOR = "recipe", "sensor"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """How a model sees images: made smaller to ``side`` px, ``grid`` patches, and told ``metres`` per pixel of its input.

    ``told`` is where the metres come from: ``recipe``, ``sensor``, or empty for a model that is told nothing.
    """

    relative_size: float
    told: str
    side: int
    grid: tuple[int, int]
    metres: float | None

    @property
    def patches(self) -> int:
        """The number of patch tokens of an image."""
        return math.prod(self.grid)


def side_of(relative_size: float, stored: int, patch: int) -> int:
    """Return the side of the input, px, for images of ``stored`` px made smaller: whole patches, the nearest number of them."""
    return max(1, round(relative_size * stored / patch)) * patch


def describe_settings(
    name: str,
    entry: Mapping[str, Any],
    card: Mapping[str, Any],
    *,
    checkpoint_root: Path,
    stored: int,
    settings: Sequence[Mapping[str, Any]],
    dataset: str = "<name>",
    unknown: Sequence[str] = (),
) -> str:
    """Build the model ``models.<name>`` at every size on the CPU and return its settings and what it is, as JSON.

    ``card`` describes it for tiles, ``stored`` is the side of the stored images, ``settings`` are those of
    :func:`patchprobe.config.specs.image_settings`. Says in the log where sizes are rounded to whole patches, and what the model
    would be told that is ``unknown`` of the data set. Raises ModelError for a model that cannot be built at a size.
    """
    for kind in unknown:
        _log.warning(
            "%s: nothing says how large a pixel is on the ground, so it is not told the distance of the %s; "
            "datasets.%s.ground_sample_distance would",
            *(name, kind, dataset),
        )
    patch = card["input_size"][0] // card["grid"][0]
    found = [_setting(one, stored, patch) for one in settings]
    for one in found:
        exact = one.relative_size * stored
        rounded = "" if one.side == exact else f" (whole patches of {patch} px, for {exact:g})"
        metres = "" if one.metres is None else f", told {one.metres:g} m per pixel ({one.told})"
        _log.info("%s: relative size %g is %d px%s%s", name, one.relative_size, one.side, rounded, metres)
    for one in {one.side: one for one in sorted(found, key=lambda one: one.side)}.values():
        model = load_at(name, entry, card, one.side, checkpoint_root=checkpoint_root, metres=one.metres)
    # The provenance is that of the largest size.
    facts = {key: getattr(model, key) for key in ("features", "blocks", "has_cls", "provenance")}
    return json.dumps({**facts, "settings": [asdict(one) for one in found]}, indent=1, sort_keys=True) + "\n"


def _setting(given: Mapping[str, Any], stored: int, patch: int) -> Setting:
    side, metres = side_of(given["relative_size"], stored, patch), given["metres"]
    if given["told"] == SENSOR:
        # Those of the stored image, which has more pixels.
        metres = metres * stored / side
    return Setting(given["relative_size"], given["told"], side, (side // patch, side // patch), metres)


def load_at(
    name: str,
    entry: Mapping[str, Any],
    card: Mapping[str, Any],
    side: int,
    *,
    checkpoint_root: Path,
    metres: float | None,
    device: str = "cpu",
) -> Backbone:
    """Build the model ``models.<name>`` for images of ``side`` px; its position embedding is resized as its entry says.

    ``card`` describes it for tiles. Random weights are those for tiles. Raises ModelError for a model that cannot see them.
    """
    own = {**entry, "input_size": side}
    if entry["source"] == "random":
        own["position_grid"] = card["grid"]
    try:
        return load_model(
            name,
            own,
            checkpoint_root=checkpoint_root,
            input_size=side,
            device=device,
            ground_sample_distance=metres,
        )
    except ModelError as error:
        if side == card["input_size"][0]:
            raise
        raise ModelError(
            f"image_knn.models: {name} cannot see images of {side} x {side} px: name the other models there ({error})"
        ) from error


def loader(
    name: str,
    entry: Mapping[str, Any],
    card: Path,
    *,
    tile_card: Mapping[str, Any],
    checkpoint_root: Path,
    device: str,
) -> Callable[[Setting], Backbone]:
    """Return what builds the model ``models.<name>`` for a setting, and raises StoreError where it is not that of ``card``, which
    :func:`describe_settings` wrote; ``tile_card`` is as for :func:`load_at`."""

    def load(setting: Setting) -> Backbone:
        """Build it for the side of the setting's images, told its distance."""
        model = load_at(
            name, entry, tile_card, setting.side, checkpoint_root=checkpoint_root, metres=setting.metres, device=device
        )
        check_card(model, card)
        return model

    return load


def read_image_card(path: Path) -> dict[str, Any]:
    """Read what :func:`describe_settings` wrote, ``settings`` as :class:`Setting`; raises StoreError for a damaged file."""
    kinds = {"features": int, "blocks": int, "has_cls": bool, "settings": list, "provenance": dict}
    card = read_mapping(path, kinds)
    try:
        settings = [Setting(**{**one, "grid": tuple(one["grid"])}) for one in card["settings"]]
    except (TypeError, KeyError) as error:
        raise damaged(path, f"no settings, {error}") from None
    return {**card, "settings": settings}
