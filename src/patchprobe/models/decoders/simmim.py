"""SimMIM with its decoder, as in arXiv 2111.09886 and ``models/simmim.py`` of microsoft/SimMIM (d3e29bca)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from patchprobe.errors import ModelError
from patchprobe.models.checkpoints.reading import load_strictly
from patchprobe.models.decoders.masked_autoencoder import Encoded, MaskedAutoencoder, Target
from patchprobe.models.vit import TimmViT


class SimMIM(MaskedAutoencoder):
    """SimMIM's encoder, which gets a mask token for each hidden patch, and its linear decoder, which ignores [CLS]."""

    decoder: "SimMIMDecoder"

    def encode(self, images: torch.Tensor, *, mask: torch.Tensor | None = None) -> Encoded:
        """Return the tokens of all N patches of images (B, 3, H, W), row-major.

        ``mask`` bool (B, N), row-major, is true where the mask token takes the place of an embedded patch; null hides
        none. Raises ValueError for a mask of another shape or type.
        """
        batch, n = len(images), self.patches
        if mask is None:
            mask = torch.zeros(batch, n, dtype=torch.bool)
        elif mask.shape != (batch, n) or mask.dtype != torch.bool:
            raise ValueError(f"a mask is bool {(batch, n)}, not {str(mask.dtype)[6:]} {tuple(mask.shape)}")
        mask = mask.to(images.device)

        def hide(_: nn.Module, __: tuple[Any, ...], embedded: torch.Tensor) -> torch.Tensor:
            return torch.where(mask[:, :, None], self.decoder.mask_token, embedded)

        hook = self.encoder.module.patch_embed.register_forward_hook(hide)
        try:
            tokens = self.encoder.tokens(images, [self.encoder.blocks])
        finally:
            hook.remove()
        if tokens.cls is None:
            raise ModelError(f"models.{self.encoder.name}.architecture: SimMIM is a model with [CLS] token: take one")
        order = torch.arange(n, device=images.device).expand(batch, -1)
        return Encoded(tokens.cls[0], tokens.patch[0], mask=mask, ids_restore=order)

    def encode_hidden(self, images: torch.Tensor, share: float, noise: torch.Tensor) -> Encoded:
        """See :class:`MaskedAutoencoder`; SimMIM's own code hides blocks of 32 px in place of patches."""
        batch, n = len(images), self.patches
        kept = int(n * (1 - share))
        if not 0 <= share < 1 or not kept or noise.shape != (batch, n):
            raise ValueError(
                f"{share} of {n} patches cannot be hidden by noise of shape {tuple(noise.shape)}; give {(batch, n)}, and a share "
                "that leaves some"
            )
        rank = torch.argsort(torch.argsort(noise, dim=1, stable=True), dim=1)
        return self.encode(images, mask=rank >= kept if share else None)

    def unpatchify(self, patches: torch.Tensor) -> torch.Tensor:
        """See :class:`MaskedAutoencoder`; the values of a patch are in order of channel, row, column."""
        side = round((patches.shape[-1] / 3) ** 0.5)
        return F.pixel_shuffle(patches.mT.unflatten(2, self.encoder.grid), side)

    def patchify(self, images: torch.Tensor) -> torch.Tensor:
        """See :class:`MaskedAutoencoder`; the values of a patch are in order of channel, row, column."""
        side = images.shape[-1] // self.encoder.grid[1]
        return F.pixel_unshuffle(images, side).flatten(2).mT


class SimMIMDecoder(nn.Module):
    """SimMIM's decoder, a convolution of one pixel, with the mask token that the encoder gets; official names."""

    def __init__(self, features: int, values: int) -> None:
        super().__init__()
        self.mask_token = nn.Parameter(torch.zeros(1, 1, features))
        self.decoder = nn.Sequential(nn.Conv2d(features, values, kernel_size=1))

    def forward(self, encoded: Encoded) -> torch.Tensor:
        """Return the prediction (B, N, values) for the patches, row-major."""
        predicted: torch.Tensor = self.decoder(encoded.patch.mT[:, :, :, None])[:, :, :, 0].mT
        return predicted


def build_simmim(
    encoder: TimmViT, weights: Mapping[str, torch.Tensor], *, key: str, target: Target = "pixels"
) -> SimMIM:
    """Build SimMIM from its encoder and the weights of its decoder and mask token, with the official names.

    Raises ModelError naming the config ``key`` if a tensor is missing, surplus or reshaped.
    """
    if "decoder.0.weight" not in weights:
        raise ModelError(f"{key}: the decoder is incomplete, it has no decoder.0.weight; take another file")
    values, features = weights["decoder.0.weight"].shape[:2]
    decoder = SimMIMDecoder(features, values)
    load_strictly(decoder, weights, key)
    return SimMIM(encoder, decoder, target)
