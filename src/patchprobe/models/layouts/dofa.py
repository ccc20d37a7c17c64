"""Layout ``dofa``: a released file of DOFA, for images of red, green and blue; architecture ``dofa_vit``.

DOFA generates the kernel of the patches from the wavelengths of the channels; here they are fixed, and the kernel is computed
once. The generator: each wavelength, in nanometres, becomes sines and cosines at frequencies 10000^(-i / 64); two layers
with ReLU are added to them; a transformer layer sees 128 learnt tokens, the wavelengths and one more learnt token; a linear
layer makes a channel's kernel of each wavelength's output plus its input, and another one the bias of the last token's
output. Both are multiplied by 0.01. Source: ``torchgeo/models/dofa.py`` of torchgeo 0.8.1.

Files of before September 2024 were trained with a kernel whose numbers had another order; they have layout ``dofa-first``.
Nothing in a file tells, and the wrong one gives noise.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from patchprobe.errors import ModelError
from patchprobe.models.layout import IMAGENET, Contents, Weights, flat, require, under, width

# of red, green and blue, in nanometres
WAVELENGTHS = (665.0, 560.0, 490.0)

_GENERATOR = "patch_embed."
_LAYER = "weight_generator.transformer_encoder.layers.0."
_HEADS_OF_LAYER = 4
_SCALE = 0.01
_UNUSED = ("mask_token", "projector.", "head.")
_HEADS = {768: 12, 1024: 16}


def read_dofa(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the mask token and the projector of the training are left out."""
    return sorted_out(file, "dofa", key, _kernel)


def sorted_out(
    file: Mapping[str, Any], layout: str, key: str, kernel: Callable[[torch.Tensor, int], torch.Tensor]
) -> Contents:
    """Return the contents of a file whose generated numbers (3, side * side * features) ``kernel`` puts in order."""
    tensors = flat(file, layout, key)
    require(
        tensors,
        layout,
        key,
        present=["cls_token", "pos_embed", f"{_GENERATOR}weight_generator.weight_tokens", "norm.weight"],
    )
    left_out = tuple(name for name in tensors if name.startswith((*_UNUSED, _GENERATOR)))
    encoder = {name: value for name, value in tensors.items() if name not in left_out}
    numbers, bias = _generated(under(tensors, _GENERATOR), layout, key)
    features = width(encoder)
    encoder |= {"patch_embed.proj.weight": kernel(numbers, features), "patch_embed.proj.bias": bias}
    return Contents(
        encoder,
        left_out=left_out,
        norm_eps=1e-6,
        square=True,
        normalisation=IMAGENET,
        heads=_HEADS.get(features),
    )


LAYOUT = read_dofa


def _kernel(numbers: torch.Tensor, features: int) -> torch.Tensor:
    side = round((numbers.shape[1] / features) ** 0.5)
    return numbers.reshape(-1, side, side, features).permute(3, 0, 1, 2).contiguous()


def _generated(generator: Weights, layout: str, key: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the numbers of the kernel (3, side * side * features) and the bias (features,), float32."""
    weights = {name: value.float() for name, value in generator.items()}
    inside = under(weights, _LAYER)
    try:
        tokens = weights.pop("weight_generator.weight_tokens")
        last = weights.pop("weight_generator.bias_token")
        layer = nn.TransformerEncoderLayer(
            tokens.shape[1], _HEADS_OF_LAYER, inside["linear1.weight"].shape[0], activation="gelu", dropout=0.0
        )
        layer.load_state_dict(inside)
        waves = _sines_and_cosines(torch.tensor(WAVELENGTHS), tokens.shape[1])
        inner = waves
        for linear in ("fclayer.w1", "fclayer.w2"):
            inner = F.relu(_linear(inner, weights, linear))
        waves = waves + inner
        with torch.inference_mode():
            seen = layer.eval()(torch.cat([tokens, waves, last]))
        numbers = _linear(seen[len(tokens) : -1] + waves, weights, "weight_generator.fc_weight")
        return numbers * _SCALE, _linear(seen[-1], weights, "weight_generator.fc_bias") * _SCALE
    except (KeyError, RuntimeError) as error:
        raise ModelError(
            f"{key}: not of layout {layout}: the generator of the kernel is incomplete or has another shape ({error}); take "
            "another file"
        ) from error


def _linear(x: torch.Tensor, weights: Weights, name: str) -> torch.Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _sines_and_cosines(positions: torch.Tensor, features: int) -> torch.Tensor:
    """Return the encoding (N, features) of positions (N,): all sines, then all cosines."""
    half = features // 2
    frequencies = 1 / 10000 ** (torch.arange(half, dtype=torch.float32) / half)
    angles = positions[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)
