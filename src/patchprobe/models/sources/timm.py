"""Source ``timm``: a pretrained ViT, from a file as its authors released it or from the hub timm names for it."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
from huggingface_hub.utils import get_session
from torch import nn

from patchprobe.errors import ModelError
from patchprobe.models.backbone import Norm
from patchprobe.models.checkpoints.reading import (
    drop_classifier,
    hint_for,
    load_strictly,
    open_checkpoint,
    summary,
)
from patchprobe.models.deciding import decided, without_zero_biases
from patchprobe.models.layout import PositionEmbedding, Weights
from patchprobe.models.position_embedding import fit_position_embedding, resized_when_loaded
from patchprobe.models.vit import (
    TimmViT,
    build_vit,
    check_size,
    count_rope_positions,
    set_norm_eps,
    set_rope_periods,
)

_HUB_SECONDS = 5


def load_timm(
    name: str,
    entry: Mapping[str, Any],
    *,
    checkpoint_root: Path,
    input_size: tuple[int, int],
    norm: Norm,
    device: str,
    ground_sample_distance: float | None,
) -> TimmViT:
    """Build ``entry["architecture"]`` and load its weights strictly; see :class:`patchprobe.models.backbone.Source`.

    ``entry["checkpoint"]`` is a file under ``checkpoint_root``, ``entry["layout"]`` says how it names its tensors; null
    takes the pretrained weights from timm's hub. ``entry["position_embedding"]`` says how the position embedding gets to
    another input size (see :mod:`patchprobe.models.position_embedding`), or that it is computed (``gsd``); null takes the
    way of the code that the layout belongs to, as for ``mean``, ``std`` and the number of heads. ``entry["position_grid"]`` is the
    grid (rows, columns) of the file's positions where nothing else tells it.
    """
    if not entry.get("checkpoint"):
        _refuse_keys_of_files(name, entry)
    architecture = entry.get("architecture")
    module = build_vit(name, architecture, input_size, entry.get("arguments"), drawn=False)
    if not entry.get("checkpoint"):
        provenance = _load_from_hub(name, entry, module, checkpoint_root, ground_sample_distance)
        return TimmViT(name, module, entry, norm=norm, device=device, provenance=provenance)
    checkpoint = open_checkpoint(name, entry, checkpoint_root)
    contents = checkpoint.contents
    weights, classifier = drop_classifier(contents.encoder, module)
    weights, zero = without_zero_biases(weights, module)
    periods = weights.pop("rope.periods", None)
    method = entry.get("position_embedding") or contents.position_embedding
    try:
        check_size(name, str(architecture), module, weights, entry.get("arguments"))
        settled = decided(name, entry, contents, module)
        if settled["arguments"] != (entry.get("arguments") or {}):
            module = build_vit(name, architecture, input_size, settled["arguments"], drawn=False)
        weights, position = fit_position_embedding(
            weights,
            module,
            method,
            name,
            ground_sample_distance,
            stored_grid=entry.get("position_grid"),
            square=contents.square,
        )
        _refuse_method_without_positions(name, entry, contents.position_embedding, position)
        load_strictly(module, weights, f"models.{name}.checkpoint")
    except ModelError as error:
        place = "" if str(checkpoint.path) in str(error) else f"; the file is {checkpoint.path}"
        raise ModelError(f"{error}{hint_for(name, checkpoint)}{place}") from error
    if periods is not None:
        set_rope_periods(name, module, periods)
    if contents.counted_rope:
        count_rope_positions(name, module)
    if contents.norm_eps is not None:
        set_norm_eps(module, contents.norm_eps)
    left_out = summary([*contents.left_out, *classifier, *zero])
    return TimmViT(
        name,
        module,
        settled,
        norm=norm,
        device=device,
        provenance={**checkpoint.provenance, "left_out": left_out, "position_embedding": position},
        decoder_weights=contents.decoder,
    )


SOURCE = load_timm


def _refuse_method_without_positions(
    name: str, entry: Mapping[str, Any], otherwise: PositionEmbedding, position: Mapping[str, Any]
) -> None:
    """Refuse a way to resize positions that nothing is resized in, for it would be recorded and mean nothing."""
    method = entry.get("position_embedding")
    if position["method"] is None and method not in (None, "timm", otherwise):
        raise ModelError(
            f"models.{name}.position_embedding is {method}, but {entry['architecture']} has no absolute position embedding to "
            "bring to another size: remove the key"
        )


def _refuse_keys_of_files(name: str, entry: Mapping[str, Any]) -> None:
    """Refuse the hub for a model that is described by a file, because timm may publish another training of it."""
    layout = entry.get("layout") or "timm"
    if layout != "timm":
        raise ModelError(
            f"models.{name}.checkpoint is null, but models.{name}.layout {layout} is that of a file: name the file, or "
            "remove the layout to take the weights that timm publishes"
        )
    if entry.get("position_grid"):
        raise ModelError(
            f"models.{name}.position_grid is that of a file, but models.{name}.checkpoint is null: name the file, or remove "
            "the key"
        )


def _load_from_hub(
    name: str,
    entry: Mapping[str, Any],
    module: nn.Module,
    checkpoint_root: Path,
    ground_sample_distance: float | None,
) -> dict[str, Any]:
    """Load the weights that timm publishes for the architecture, and return what the provenance says of them."""
    vit: Any = module
    method: PositionEmbedding = entry.get("position_embedding") or "timm"
    if method == "timm" and resized_when_loaded(module):
        weights = _hub_weights(name, entry, module, checkpoint_root, img_size=vit.patch_embed.img_size)
        position = {"method": method, "applied": True, "checkpoint_grid": None, "grid": list(vit.patch_embed.grid_size)}
    else:
        weights = _hub_weights(name, entry, module, checkpoint_root)
        weights, position = fit_position_embedding(weights, module, method, name, ground_sample_distance)
    load_strictly(module, drop_classifier(weights, module)[0], f"models.{name}.checkpoint")
    return {"checkpoint": f"hub: {_hub_file(module)}", "checkpoint_sha256": None, "position_embedding": position}


def _hub_weights(
    name: str, entry: Mapping[str, Any], module: nn.Module, checkpoint_root: Path, **arguments: Any
) -> Weights:
    """Return the pretrained weights at their own size, as timm fetches (or has cached) and converts them.

    The classifier stays on, because timm loads strictly only then.
    """
    architecture, key = str(entry["architecture"]), f"models.{name}.checkpoint"
    arguments = {**(entry.get("arguments") or {}), **arguments}
    try:
        with _no_waiting_for_the_hub():
            pretrained: nn.Module = timm.create_model(architecture, pretrained=True, **arguments)
    except Exception as error:  # the hub's client, the network and timm each raise their own kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{key} is null and the pretrained weights of {architecture} cannot be had from the hub ({reason}). "
            f"Without network: download {_hub_file(module)} elsewhere, put it into {checkpoint_root} and set "
            f"{key} to its file name"
        ) from error
    return pretrained.state_dict()


@contextlib.contextmanager
def _no_waiting_for_the_hub() -> Iterator[None]:
    """Use nothing but the cache if the hub does not answer: its client would try again for most of a minute."""
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    try:
        if not before:
            get_session().head(huggingface_hub.constants.ENDPOINT, timeout=_HUB_SECONDS)
    except Exception:  # of the client's HTTP library, which changes
        huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = before


def _hub_file(module: nn.Module) -> str:
    config: Any = module.pretrained_cfg
    if config.get("hf_hub_id"):
        return f"{config['hf_hub_id']}/{config.get('hf_hub_filename') or 'model.safetensors'}"
    return str(config.get("url") or "weights with timm's names (timm publishes none for this architecture)")
