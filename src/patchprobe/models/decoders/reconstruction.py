"""Reconstructing images: the decoder that a checkpoint brings along, joined to its encoder."""

from patchprobe.errors import ModelError
from patchprobe.models.backbone import Backbone
from patchprobe.models.decoders.mae import MAE, build_mae
from patchprobe.models.decoders.simmim import SimMIM, build_simmim
from patchprobe.models.vit import TimmViT

# of all released MAE decoders; nothing in their files tells it (``models_mae.py`` of facebookresearch/mae, efb2a806)
MAE_DECODER_HEADS = 16


def load_autoencoder(encoder: Backbone, *, heads: int = MAE_DECODER_HEADS) -> MAE | SimMIM:
    """Join a model loaded by :func:`patchprobe.models.backbone.load_model` to the decoder in its checkpoint.

    The decoder is built on the encoder's device, its weights are those read with the encoder's. ``heads`` is the number
    of attention heads of an MAE decoder. Raises ModelError naming ``models.<name>`` if the checkpoint has no decoder or
    an incomplete one, or if the encoder's input size is not the one that the decoder was trained at.
    """
    key = f"models.{encoder.name}.checkpoint"
    if not isinstance(encoder, TimmViT) or not encoder.decoder_weights:
        file = encoder.provenance.get("checkpoint") or "the model"
        raise ModelError(
            f"{key}: {file} has no decoder; take mae_visualize_vit_base.pth (layout mae; "
            "mae_pretrain_vit_base.pth holds the encoder alone), facebook/vit-mae-base (hf-vitmae) or a pre-trained "
            "SimMIM (simmim)"
        )
    if any(name.startswith("decoder.") for name in encoder.decoder_weights):
        return build_simmim(encoder, encoder.decoder_weights, key=key)
    return build_mae(encoder, encoder.decoder_weights, heads=heads, norm_eps=encoder.module.norm.eps, key=key)
