"""Position embeddings at another size than the checkpoint's.

Published results differ by code base here: timm resizes with antialiasing to the exact grid; DINO, iBOT and DINOv2
(without registers) resize without it and with a scale factor that is slightly too large; MAE resizes without it to
the exact grid; Perception Encoder and TIPS do so bilinearly, the latter with antialiasing; RADIO takes part of a square.
Far from the training size these give clearly different tokens, so the config chooses and the
provenance records. Scale-MAE computes its embedding from the size of a pixel on the ground.
"""

import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from timm.layers import resample_abs_pos_embed
from torch import nn
from torch.nn import functional as F

from patchprobe.errors import ModelError
from patchprobe.models.gsd import gsd_position_embedding
from patchprobe.models.layout import PositionEmbedding, Weights

Grid = tuple[int, int]

# sides of images that one trains on; wider panoramas have to be named
_LONGEST = 4


def fit_position_embedding(
    weights: Weights,
    module: nn.Module,
    method: PositionEmbedding,
    name: str,
    ground_sample_distance: float | None = None,
    *,
    stored_grid: Sequence[int] | None = None,
    square: bool = False,
) -> tuple[Weights, dict[str, Any]]:
    """Return the weights with the absolute position embedding resized to the model's grid, and what was done.

    The second value is for the provenance: ``method``, ``applied``, ``checkpoint_grid`` and ``grid`` (rows,
    columns). With the method ``gsd`` the embedding is computed for ``ground_sample_distance``, in metres per pixel of
    the model's input. ``stored_grid`` is ``models.<name>.position_grid``, rows and columns of the stored positions, and
    ``square`` says that the layout's code takes a square number of them for a square; see :func:`_stored_grid`. Raises
    ModelError naming the key of ``models.<name>`` if the grid of the stored embedding cannot be known or is not that of
    the key, if the distance is not known, or if it is given and the grid is not square.
    """
    vit: Any = module
    grid: Grid = tuple(vit.patch_embed.grid_size)
    if method != "gsd" and method not in _RESIZE:
        raise ModelError(
            f"models.{name}.position_embedding: {method!r} is unknown: take one of {', '.join([*_RESIZE, 'gsd'])}"
        )
    if method == "gsd":
        return _computed(weights, vit, grid, name, ground_sample_distance)
    stored = weights.get("pos_embed")
    if stored is None or getattr(vit, "pos_embed", None) is None:
        return weights, {"method": None, "applied": False, "checkpoint_grid": None, "grid": list(grid)}
    if stored.ndim != 3 or len(stored) != 1:
        raise ModelError(
            f"models.{name}.checkpoint: pos_embed is {tuple(stored.shape)}, not (1, positions, features); take another file"
        )
    prefix: int = 0 if getattr(vit, "no_embed_class", False) else vit.num_prefix_tokens
    old = _stored_grid(name, vit, stored.shape[1], prefix, grid, stored_grid, square)
    applied = old != grid
    if applied and method == "timm" and resized_when_loaded(vit):
        own = vit.pretrained_cfg["input_size"][-1]
        raise ModelError(
            f"models.{name}.input_size: a file of {vit.pretrained_cfg['architecture']} is only used at its own {own} px; "
            f"set models.{name}.checkpoint to null for timm's way to other sizes"
        )
    if applied:
        # float32 first: timm would round its result back to the file's float16
        weights = weights | {"pos_embed": _RESIZE[method](stored.float(), old, grid, prefix)}
    return weights, {"method": method, "applied": applied, "checkpoint_grid": list(old), "grid": list(grid)}


def _stored_grid(
    name: str, vit: Any, stored: int, prefix: int, grid: Grid, given: Sequence[int] | None, square: bool
) -> Grid:
    """Return rows and columns of the ``stored`` positions, ``prefix`` of which are those of prefix tokens.

    ``given`` decides. Without it the model's own ``grid`` is theirs if it has as many, and a square if they are a square
    number; where a square and a rectangle are both likely, and neither layout nor architecture tells, ModelError names
    the key. A rectangle that is taken for lack of another sign is named on the error stream.
    """
    key = f"models.{name}.position_grid"
    positions = stored - prefix
    if given is not None:
        rows, columns = given
        if rows * columns != positions:
            raise ModelError(
                f"{key}: {rows} x {columns} are {rows * columns} positions, but pos_embed of the file has {stored}, with "
                f"{prefix} of prefix tokens; correct it"
            )
        return rows, columns
    side = math.isqrt(max(positions, 0))
    fits = grid[0] * grid[1] == positions
    if side * side != positions:
        if fits:
            return grid
        raise ModelError(
            f"models.{name}.checkpoint: pos_embed has {stored} positions, which is not a square grid and {prefix} prefix "
            f"tokens, nor the {grid[0]} x {grid[1]} patches of the input; if the network was trained on rectangles, set {key} "
            f"to their [rows, columns] of patches{_likely(positions)}, otherwise name the architecture these weights were "
            "trained with"
        )
    known = square or positions == _own_positions(vit)
    rectangles = _rectangles(positions)
    if fits and grid[0] != grid[1]:
        if known:
            raise ModelError(
                f"{key} is missing: the {positions} positions of the file are {side} x {side}, or {grid[0]} x {grid[1]} as the "
                f"patches of the input, and nothing in it tells; set it to [{side}, {side}] or [{grid[0]}, {grid[1]}]"
            )
        print(
            f"models.{name}: the {positions} positions of the file are taken for the {grid[0]} x {grid[1]} patches of the "
            f"input; if the network was trained on {side} x {side}, set {key}: [{side}, {side}]",
            file=sys.stderr,
        )
        return grid
    if not fits and not known and rectangles:
        raise ModelError(
            f"{key} is missing: the {positions} positions of the file are {side} x {side} or a rectangle such as "
            f"{' or '.join(f'{rows} x {columns}' for rows, columns in rectangles)}, and nothing in it tells; set it to their "
            f"[rows, columns], [{side}, {side}] for square images"
        )
    return side, side


def _own_positions(vit: Any) -> int:
    """Return the number of patches at the size that timm's configuration of the architecture is trained at."""
    rows, columns = vit.pretrained_cfg["input_size"][-2:]
    height, width = vit.patch_embed.patch_size
    return int((rows // height) * (columns // width))


def _rectangles(positions: int) -> list[Grid]:
    """Return the rectangles (fewer rows than columns) of so many positions, no longer than four times their width."""
    sides = range(math.isqrt(positions), 0, -1)
    found = [(side, positions // side) for side in sides if positions % side == 0]
    return [(rows, columns) for rows, columns in found if rows != columns <= _LONGEST * rows]


def _likely(positions: int) -> str:
    shapes = " or ".join(f"[{rows}, {columns}]" for rows, columns in _rectangles(positions))
    return shapes and f", such as {shapes}"


def resized_when_loaded(module: nn.Module) -> bool:
    """Tell whether timm resizes the embedding as it loads the weights, and then otherwise (bilinear) than elsewhere."""
    architecture = str(getattr(module, "pretrained_cfg", {}).get("architecture"))
    return "flexi" in architecture or "radio" in architecture


def resize_like_dino(embedding: torch.Tensor, old: Grid, new: Grid, prefix: int) -> torch.Tensor:
    """Resize (1, prefix + rows * columns, D) from grid ``old`` to ``new`` as DINO and DINOv2 do.

    Bicubic, no antialiasing, sampled with the scale factor (n + 0.1) / old side rather than n / old side: the
    offset once guarded against rounding down and was kept so that results stay the same. Source:
    ``interpolate_pos_encoding`` of facebookresearch/dino (7c446df5) and facebookresearch/dinov2 (b8931f7b).
    """
    kept, planes = _split(embedding, old, prefix)
    scale = [(n + 0.1) / o for n, o in zip(new, old, strict=True)]
    return _join(kept, F.interpolate(planes, scale_factor=scale, mode="bicubic"))


def resize_like_vitmae(embedding: torch.Tensor, old: Grid, new: Grid, prefix: int) -> torch.Tensor:
    """Resize (1, prefix + rows * columns, D) from grid ``old`` to ``new`` as MAE and Hugging Face's ViTMAE do.

    Bicubic, no antialiasing, to the exact grid. Source: ``util/pos_embed.py`` of facebookresearch/mae (efb2a806) and
    ``interpolate_pos_encoding`` of ``modeling_vit_mae.py`` in transformers 4.57.
    """
    kept, planes = _split(embedding, old, prefix)
    return _join(kept, F.interpolate(planes, size=new, mode="bicubic"))


def _resize_bilinearly(embedding: torch.Tensor, old: Grid, new: Grid, prefix: int) -> torch.Tensor:
    """Resize as Perception Encoder does: to the exact grid, no antialiasing.

    Source: ``core/vision_encoder/pe.py`` of facebookresearch/perception_models (3e352cca).
    """
    kept, planes = _split(embedding, old, prefix)
    return _join(kept, F.interpolate(planes, size=new, mode="bilinear"))


def _resize_bilinearly_antialiased(embedding: torch.Tensor, old: Grid, new: Grid, prefix: int) -> torch.Tensor:
    """Resize as TIPS does: to the exact grid. Source: ``pytorch/image_encoder.py`` of google-deepmind/tips (4db271d3)."""
    kept, planes = _split(embedding, old, prefix)
    return _join(kept, F.interpolate(planes, size=new, mode="bilinear", antialias=True))


def resize_like_radio(
    embedding: torch.Tensor, old: Grid, new: Grid, prefix: int, *, align_corners: bool = False
) -> torch.Tensor:
    """Resize as RADIO does: bilinearly to a square of the longer side, of which the upper left part is taken.

    With ``align_corners`` the outermost positions stay where they are, as in the code that C-RADIOv3-B and H were released
    with. Source: ``radio/vit_patch_generator.py`` of NVlabs/RADIO (c0f37017), which has it off; timm 1.0.31 has it on for
    these two models.
    """
    kept, planes = _split(embedding, old, prefix)
    rows, columns = new
    square = (max(new), max(new))
    resized = F.interpolate(planes, size=square, mode="bilinear", align_corners=align_corners)
    return _join(kept, resized[:, :, :rows, :columns])


def _resize_like_timm(embedding: torch.Tensor, old: Grid, new: Grid, prefix: int) -> torch.Tensor:
    resized: torch.Tensor = resample_abs_pos_embed(embedding, list(new), list(old), num_prefix_tokens=prefix)
    return resized


_RESIZE: dict[str, Callable[[torch.Tensor, Grid, Grid, int], torch.Tensor]] = {
    "timm": _resize_like_timm,
    "dino": resize_like_dino,
    "vitmae": resize_like_vitmae,
    "bilinear": _resize_bilinearly,
    "bilinear-antialiased": _resize_bilinearly_antialiased,
    "radio": resize_like_radio,
    "radio-aligned": partial(resize_like_radio, align_corners=True),
}


def _split(embedding: torch.Tensor, grid: Grid, prefix: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the prefix (1, prefix, D) and the patches as planes (1, D, rows, columns)."""
    return embedding[:, :prefix], embedding[:, prefix:].reshape(1, *grid, -1).permute(0, 3, 1, 2)


def _join(kept: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
    return torch.cat([kept, planes.flatten(2).transpose(1, 2)], dim=1)


def _computed(
    weights: Weights, vit: Any, grid: Grid, name: str, ground_sample_distance: float | None
) -> tuple[Weights, dict[str, Any]]:
    if not ground_sample_distance:
        raise ModelError(
            f"models.{name}.ground_sample_distance is sensor, and nothing tells the size of a pixel on the ground; set "
            "datasets.<name>.ground_sample_distance, or this key, in metres, or leave it out for 1 m"
        )
    if grid[0] != grid[1]:
        rows, columns = vit.patch_embed.img_size
        raise ModelError(
            f"models.{name}.input_size: position_embedding gsd is defined for square images, not {rows} x {columns} px; "
            "give one number"
        )
    embedding = gsd_position_embedding(grid, vit.embed_dim, ground_sample_distance)
    facts = {"method": "gsd", "applied": True, "checkpoint_grid": None, "grid": list(grid)}
    return weights | {"pos_embed": embedding}, {**facts, "ground_sample_distance": ground_sample_distance}
