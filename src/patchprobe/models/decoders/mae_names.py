"""The names of MAE's decoder, as in ``models_mae.py`` of facebookresearch/mae (efb2a806), told from the encoder's."""

import re

from patchprobe.errors import ModelError
from patchprobe.models.layout import Weights, shortened

_MASK = "mask_token"
_PREFIX = "decoder_"
_BLOCK = re.compile(r"decoder_blocks\.(\d+)\.")
_BLOCK_PARTS = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
_PARTS = ("decoder_embed", "decoder_norm", "decoder_pred")


def split_decoder(tensors: Weights, layout: str, key: str) -> tuple[Weights, Weights]:
    """Return the tensors of the encoder and those of the decoder, which is whole or absent.

    A mask token alone is no decoder and stays with neither. Raises ModelError listing the decoder's missing and surplus
    names.
    """
    decoder = {name: value for name, value in tensors.items() if name.startswith(_PREFIX) or name == _MASK}
    encoder = {name: value for name, value in tensors.items() if name not in decoder}
    if decoder.keys() <= {_MASK}:
        return encoder, {}
    blocks = {int(match[1]) for name in decoder if (match := _BLOCK.match(name))}
    parts = [
        *_PARTS,
        *(f"decoder_blocks.{block}.{part}" for block in range(max(len(blocks), 1)) for part in _BLOCK_PARTS),
    ]
    expected = {_MASK, "decoder_pos_embed", *(f"{part}.{kind}" for part in parts for kind in ("weight", "bias"))}
    problems = [
        f"{len(names)} {kind}: {shortened(sorted(names))}"
        for kind, names in (("missing", expected - decoder.keys()), ("surplus", decoder.keys() - expected))
        if names
    ]
    if problems:
        raise ModelError(
            f"{key}: not of layout {layout}: its decoder is not that of MAE: {'; '.join(problems)}; take another file, or "
            "one of the encoder alone"
        )
    return encoder, decoder
