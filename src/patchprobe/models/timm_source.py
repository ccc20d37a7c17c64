"""Source ``timm``: a pretrained timm ViT, from a local weight file or from the hub timm names for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from torch import nn

from patchprobe.errors import ModelError
from patchprobe.models import Norm
from patchprobe.models.checkpoints import Weights, drop_classifier, load_strictly, read_weights
from patchprobe.models.position_embedding import fit_position_embedding
from patchprobe.models.vit import TimmViT, build_vit
from patchprobe.stores import file_sha256


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
    """Build ``entry["architecture"]`` and load its weights strictly; see :class:`patchprobe.models.Source`.

    ``entry["checkpoint"]`` is a file under ``checkpoint_root`` with timm's names, a classifier in it is ignored;
    null takes the pretrained weights from the hub. ``entry["position_embedding"]`` says how the position
    embedding gets to another input size (``timm`` or ``dino``).
    """
    module = build_vit(name, entry.get("architecture"), input_size, entry.get("arguments"))
    key = f"models.{name}.checkpoint"
    if entry.get("checkpoint"):
        path = checkpoint_root / entry["checkpoint"]
        weights = read_weights(path, key)
        origin = {"checkpoint": path.name, "checkpoint_sha256": file_sha256(path)}
    else:
        weights = _hub_weights(entry["architecture"], module, key, checkpoint_root)
        origin = {"checkpoint": f"hub: {_hub_file(module)}", "checkpoint_sha256": None}
    weights = drop_classifier(weights, module)
    weights, position = fit_position_embedding(weights, module, entry.get("position_embedding") or "timm", key)
    load_strictly(module, weights, key)
    return TimmViT(
        name,
        module,
        entry,
        norm=norm,
        device=device,
        provenance={**origin, "position_embedding": position},
    )


SOURCE = load_timm


def _hub_weights(architecture: str, module: nn.Module, key: str, checkpoint_root: Path) -> Weights:
    """Return the pretrained weights at their own size, as timm fetches (or has cached) and converts them.

    The classifier stays on, because timm loads strictly only then.
    """
    try:
        pretrained: nn.Module = timm.create_model(architecture, pretrained=True)
    except Exception as error:  # the hub's client, the network and timm each raise their own kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{key} is null and the pretrained weights of {architecture} cannot be had from the hub ({reason}). "
            f"Without network: download {_hub_file(module)} elsewhere, put it into {checkpoint_root} and set "
            f"{key} to its file name"
        ) from error
    return pretrained.state_dict()


def _hub_file(module: nn.Module) -> str:
    config: Any = module.pretrained_cfg
    if config.get("hf_hub_id"):
        return f"{config['hf_hub_id']}/{config.get('hf_hub_filename') or 'model.safetensors'}"
    return str(config.get("url") or "weights with timm's names (timm publishes none for this architecture)")
