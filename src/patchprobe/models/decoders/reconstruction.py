"""Reconstructing images: a decoder, of the model's own checkpoint or of a file of its own, joined to its encoder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from patchprobe.errors import ModelError
from patchprobe.models.backbone import Backbone
from patchprobe.models.checkpoints.reading import open_decoder
from patchprobe.models.decoders.mae import MAE, build_mae
from patchprobe.models.decoders.masked_autoencoder import Target
from patchprobe.models.decoders.simmim import SimMIM, build_simmim
from patchprobe.models.vit import TimmViT
from patchprobe.own_files import read_mapping

# of all released MAE decoders; nothing in their files tells it (``models_mae.py`` of facebookresearch/mae, efb2a806)
MAE_DECODER_HEADS = 16


def load_autoencoder(
    encoder: Backbone,
    *,
    heads: int = MAE_DECODER_HEADS,
    target: Target = "pixels",
    weights: Mapping[str, torch.Tensor] | None = None,
) -> MAE | SimMIM:
    """Join a model loaded by :func:`patchprobe.models.backbone.load_model` to its decoder.

    The decoder is built on the encoder's device. Its ``weights``, with the official names, are those read with the
    encoder's if none are given. ``heads`` is the number of attention heads of an MAE decoder, ``target`` what it
    predicts. Raises ModelError naming ``models.<name>`` if the checkpoint has no decoder or an incomplete one, or if the
    encoder's input size is not the one that the decoder was trained at.
    """
    key = f"models.{encoder.name}.{'checkpoint' if weights is None else 'decoder.checkpoint'}"
    file = encoder.provenance.get("checkpoint") or "the model"
    if not isinstance(encoder, TimmViT) or not (weights or encoder.decoder_weights):
        raise ModelError(
            f"{key}: {file} has no decoder; take mae_visualize_vit_base.pth (layout mae; "
            "mae_pretrain_vit_base.pth holds the encoder alone), facebook/vit-mae-base (hf-vitmae) or a pre-trained "
            f"SimMIM (simmim), or set models.{encoder.name}.decoder to null"
        )
    own = weights or encoder.decoder_weights
    if any(name.startswith("decoder.") for name in own):
        return build_simmim(encoder, own, key=key, target=target)
    return build_mae(encoder, own, heads=heads, norm_eps=encoder.module.norm.eps, key=key, target=target)


def open_autoencoder(encoder: Backbone, entry: Mapping[str, Any], checkpoint_root: Path) -> MAE | SimMIM:
    """Join a loaded model to the decoder that ``models.<name>.decoder`` describes.

    ``entry`` is that key: ``checkpoint`` is the decoder's own file below ``checkpoint_root``, null if it is in that of the
    model; ``heads`` and ``target`` are as for :func:`load_autoencoder`. Raises ModelError as that does, and for a file
    that is missing, damaged or another one.
    """
    weights: Mapping[str, torch.Tensor] | None = None
    file: dict[str, Any] = {}
    if entry["checkpoint"]:
        weights, file = open_decoder(encoder.name, entry, checkpoint_root)
    joined = load_autoencoder(encoder, heads=entry["heads"], target=entry["target"], weights=weights)
    joined.provenance = {
        "kind": type(joined).__name__,
        "target": joined.target,
        "heads": entry["heads"] if isinstance(joined, MAE) else None,
        "parameters": sum(value.numel() for value in joined.decoder.parameters()),
        "checkpoint": file.get("checkpoint") or encoder.provenance.get("checkpoint"),
        "checkpoint_sha256": file.get("checkpoint_sha256") or encoder.provenance.get("checkpoint_sha256"),
    }
    return joined


def describe_autoencoder(autoencoder: MAE | SimMIM) -> str:
    """Return what a decoder is, as JSON."""
    return json.dumps(autoencoder.provenance, indent=1, sort_keys=True) + "\n"


def check_decoder_card(autoencoder: MAE | SimMIM, card: Path) -> None:
    """Raise ModelError if the file of a decoder is another than the one that ``card`` describes, StoreError if that is damaged."""
    inspected = read_mapping(card)["checkpoint_sha256"]
    found = autoencoder.provenance["checkpoint_sha256"]
    if inspected != found:
        raise ModelError(
            f"models.{autoencoder.encoder.name}.decoder: {autoencoder.provenance['checkpoint']} was replaced since it was inspected "
            f"(sha256 {inspected} then, {found} now); delete {card} and run again"
        )
