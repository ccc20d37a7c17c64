"""MAE with its decoder, as in arXiv 2111.06377 and ``models_mae.py`` of facebookresearch/mae (efb2a806)."""

import functools
from collections.abc import Mapping
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import nn

from patchprobe.errors import ModelError
from patchprobe.models.checkpoints.reading import load_strictly
from patchprobe.models.decoders.masked_autoencoder import Encoded, MaskedAutoencoder, Target, largest_mask
from patchprobe.models.vit import TimmViT


class MAE(MaskedAutoencoder):
    """MAE's encoder and decoder; Hugging Face's ViTMAE with a LayerNorm epsilon of 1e-12."""

    def encode(self, images: torch.Tensor, *, mask_ratio: float = 0.0, noise: torch.Tensor | None = None) -> Encoded:
        """Return the tokens of the patches that stay visible, in the order of their noise, lowest first.

        ``images`` is (B, 3, H, W). Of N patches int(N * (1 - ``mask_ratio``)) stay, those with the lowest ``noise``
        (B, N) of their image. With a mask ratio of 0 all stay in row-major order and noise counts for nothing; the
        official code shuffles them even then. Raises ValueError if the ratio is not in [0, 1) or leaves no patch, or
        if noise is missing or of another shape.
        """
        batch, n = len(images), self.patches
        kept = int(n * (1 - mask_ratio))
        if not 0 <= mask_ratio < 1 or not kept:
            raise ValueError(
                f"a mask ratio of {mask_ratio} leaves none of {n} patches visible; use 0 to {largest_mask(n):g}"
            )
        if not mask_ratio:
            order = torch.arange(n, device=images.device).expand(batch, -1)
        elif noise is None or noise.shape != (batch, n):
            shape = "none" if noise is None else tuple(noise.shape)
            raise ValueError(f"masking needs noise of shape {(batch, n)}, one number for each patch, not {shape}")
        else:
            order = torch.argsort(noise.to(images.device), dim=1, stable=True)
        vit = self.encoder.module
        hook = vit.blocks[0].register_forward_pre_hook(functools.partial(_keep, ids=order[:, :kept]))
        try:
            tokens = self.encoder.tokens(images, [self.encoder.blocks])
        finally:
            hook.remove()
        if tokens.cls is None:
            raise ModelError(
                f"models.{self.encoder.name}.architecture: MAE's decoder needs a model with [CLS] token: take one"
            )
        ids_restore = torch.argsort(order, dim=1)
        return Encoded(tokens.cls[0], tokens.patch[0], mask=ids_restore >= kept, ids_restore=ids_restore)

    def encode_hidden(self, images: torch.Tensor, share: float, noise: torch.Tensor) -> Encoded:
        """See :class:`MaskedAutoencoder`."""
        return self.encode(images, mask_ratio=share, noise=noise)

    def unpatchify(self, patches: torch.Tensor) -> torch.Tensor:
        """See :class:`MaskedAutoencoder`; the values of a patch are in order of row, column, channel."""
        rows, columns = self.encoder.grid
        side = round((patches.shape[-1] / 3) ** 0.5)
        planes = patches.reshape(-1, rows, columns, side, side, 3).permute(0, 5, 1, 3, 2, 4)
        return planes.reshape(-1, 3, rows * side, columns * side)

    def patchify(self, images: torch.Tensor) -> torch.Tensor:
        """See :class:`MaskedAutoencoder`; the values of a patch are in order of row, column, channel."""
        rows, columns = self.encoder.grid
        side = images.shape[-1] // columns
        cells = images.reshape(-1, 3, rows, side, columns, side).permute(0, 2, 4, 3, 5, 1)
        return cells.reshape(-1, rows * columns, side * side * 3)


class MAEDecoder(nn.Module):
    """MAE's decoder, with the official names: ``width`` features, a position embedding for [CLS] and ``patches``."""

    def __init__(
        self, features: int, *, width: int, depth: int, heads: int, patches: int, values: int, norm_eps: float
    ) -> None:
        super().__init__()
        norm = functools.partial(nn.LayerNorm, eps=norm_eps)
        self.decoder_embed = nn.Linear(features, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, 1 + patches, width))
        blocks = (Block(width, heads, mlp_ratio=4, qkv_bias=True, norm_layer=norm) for _ in range(depth))
        self.decoder_blocks = nn.ModuleList(blocks)
        self.decoder_norm = norm(width)
        self.decoder_pred = nn.Linear(width, values)

    def forward(self, encoded: Encoded) -> torch.Tensor:
        """Return the prediction (B, N, values) for the patches, row-major."""
        visible = self.decoder_embed(torch.cat([encoded.cls[:, None], encoded.patch], dim=1))
        hidden = encoded.mask.shape[1] - encoded.patch.shape[1]
        patches = torch.cat([visible[:, 1:], self.mask_token.expand(len(visible), hidden, -1)], dim=1)
        sequence = torch.cat([visible[:, :1], _taken(patches, encoded.ids_restore)], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            sequence = block(sequence)
        predicted: torch.Tensor = self.decoder_pred(self.decoder_norm(sequence))[:, 1:]
        return predicted


def build_mae(
    encoder: TimmViT,
    weights: Mapping[str, torch.Tensor],
    *,
    heads: int,
    norm_eps: float,
    key: str,
    target: Target = "pixels",
) -> MAE:
    """Build MAE from its encoder and the decoder's weights, with the official names.

    Raises ModelError naming the config ``key`` if a tensor is missing, surplus or reshaped, if ``heads`` do not divide
    the decoder's width, or if the decoder was trained for another number of patches than the encoder has.
    """
    shapes = {name: weights[name].shape for name in ("decoder_embed.weight", "decoder_pred.weight") if name in weights}
    if len(shapes) < 2 or "decoder_pos_embed" not in weights:
        raise ModelError(
            f"{key}: the decoder is incomplete (it has {', '.join(sorted(weights)[:6])}); take another file"
        )
    width, features = shapes["decoder_embed.weight"]
    rows, columns = encoder.grid
    trained = weights["decoder_pos_embed"].shape[1] - 1
    if trained != rows * columns:
        raise ModelError(
            f"models.{encoder.name}.input_size: the decoder was trained for {trained} patches and its position "
            f"embedding is not interpolated, but images of {encoder.input_size[0]} x {encoder.input_size[1]} px have "
            f"{rows * columns}; use the size that it was trained at"
        )
    if width % heads:
        raise ModelError(
            f"{key}: {heads} attention heads do not divide the {width} features of the decoder; set "
            f"models.{encoder.name}.decoder.heads to the number that it was trained with"
        )
    decoder = MAEDecoder(
        features,
        width=width,
        depth=len({name.split(".")[1] for name in weights if name.startswith("decoder_blocks.")}),
        heads=heads,
        patches=trained,
        values=shapes["decoder_pred.weight"][0],
        norm_eps=norm_eps,
    )
    load_strictly(decoder, weights, key)
    return MAE(encoder, decoder, target)


def _keep(_: nn.Module, arguments: tuple[Any, ...], *, ids: torch.Tensor) -> tuple[Any, ...]:
    """Leave [CLS] and the patches ``ids`` (B, K) of what enters the first block, with their position embedding."""
    sequence, *others = arguments
    return torch.cat([sequence[:, :1], _taken(sequence[:, 1:], ids)], dim=1), *others


def _taken(patches: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return patches.gather(1, ids[:, :, None].expand(-1, -1, patches.shape[-1]))
