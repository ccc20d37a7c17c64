"""Objective ``mae``: reconstruct the masked patches from the visible ones, through a small decoder.

He et al., Masked Autoencoders Are Scalable Vision Learners (2022), arXiv 2111.06377. As there: 75 % of the patches are
masked, the encoder sees only the visible ones, the target is each patch's pixels normalised by its own mean and
variance, and only masked patches count. Unlike there the position embedding of the encoder is learnt, as it is for
every objective here.
"""

from dataclasses import dataclass

import torch
from lightly.models.utils import initialize_2d_sine_cosine_positional_embedding
from timm.models.vision_transformer import Block
from torch import nn

from patchprobe.pretraining.masking import masked_patches, random_mask
from patchprobe.pretraining.network import Network
from patchprobe.pretraining.objective import Batch, Objective, Views


@dataclass(frozen=True)
class Options:
    """Share of patches masked, and the decoder's features, blocks and heads."""

    mask_ratio: float = 0.75
    decoder_features: int = 128
    decoder_blocks: int = 2
    decoder_heads: int = 4


class MaskedAutoencoder(Objective):
    """The encoder on visible patches and a decoder with the names of the official code."""

    views = Views(full=1)
    options_type = Options
    recordable = True

    def __init__(self, network: Network, classes: int, options: Options) -> None:
        super().__init__(network)
        self.mask_ratio = options.mask_ratio
        self.pixels = Decoder(network, options)

    def loss(self, batch: Batch) -> torch.Tensor:
        """See :meth:`patchprobe.pretraining.objective.Objective.loss`."""
        images = batch.full[0]
        mask = random_mask(len(images), self.network.grid, self.mask_ratio, device=images.device)
        # Sorted stably: visible patches first, both in row-major order.
        order = mask.int().argsort(dim=1, stable=True)
        visible = mask.shape[1] - masked_patches(self.network.grid, self.mask_ratio)
        patches = self.network.embed(images)
        patches = patches + self.network.positions(patches.shape[1])
        rows = torch.arange(len(images), device=images.device)[:, None]
        tokens = self.network.encode(patches[rows, order[:, :visible]])
        predicted = self.pixels(tokens, order.argsort(dim=1))[:, 1:].float()
        error = (predicted - normalised_patches(self.network.patchify(images))).square().mean(dim=-1)
        return (error * mask).sum() / mask.sum()

    def decoder(self) -> dict[str, torch.Tensor]:
        """Return the decoder's weights by the names of the official code."""
        return self.pixels.state_dict()


class Decoder(nn.Module):
    """MAE's decoder: blocks on all tokens, mask tokens where a patch is missing, and a linear layer to pixels."""

    def __init__(self, network: Network, options: Options) -> None:
        super().__init__()
        features, patches = options.decoder_features, network.grid**2
        self.decoder_embed = nn.Linear(network.features, features)
        self.mask_token = nn.Parameter(torch.randn(1, 1, features) * 0.02)
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, 1 + patches, features), requires_grad=False)
        initialize_2d_sine_cosine_positional_embedding(self.decoder_pos_embed, has_class_token=True)
        self.decoder_blocks = nn.Sequential(
            *(Block(features, options.decoder_heads, qkv_bias=True) for _ in range(options.decoder_blocks))
        )
        for block in self.decoder_blocks:
            block.attn.fused_attn = False  # type: ignore[union-attr]
        self.decoder_norm = nn.LayerNorm(features, eps=1e-6)
        self.decoder_pred = nn.Linear(features, network.patch_size**2 * 3)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, tokens: torch.Tensor, restore: torch.Tensor) -> torch.Tensor:
        """Return (B, 1 + N, pixels) from tokens (B, 1 + visible, D); ``restore`` (B, N) is each patch's place in
        the order "visible, then masked"."""
        embedded = self.decoder_embed(tokens)
        missing = restore.shape[1] + 1 - embedded.shape[1]
        filler = self.mask_token.to(embedded.dtype).expand(len(embedded), missing, -1)
        shuffled = torch.cat([embedded[:, 1:], filler], dim=1)
        rows = torch.arange(len(embedded), device=embedded.device)[:, None]
        complete = torch.cat([embedded[:, :1], shuffled[rows, restore]], dim=1) + self.decoder_pos_embed
        predicted: torch.Tensor = self.decoder_pred(self.decoder_norm(self.decoder_blocks(complete)))
        return predicted


def normalised_patches(patches: torch.Tensor) -> torch.Tensor:
    """Return patches (..., pixels) less their mean, by their standard deviation (unbiased, 1e-6 added to the variance)."""
    mean = patches.mean(dim=-1, keepdim=True)
    variance = patches.var(dim=-1, keepdim=True)
    return (patches - mean) / (variance + 1e-6).sqrt()


OBJECTIVE = MaskedAutoencoder
HAS_DECODER = True
