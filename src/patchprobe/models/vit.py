"""Any plain ViT of timm as a backbone: building one, and reading tokens from its blocks."""

import difflib
import hashlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from torch import nn
from torch.nn import functional as F

from patchprobe.errors import ModelError
from patchprobe.models import Norm, Tokens


def build_vit(name: str, architecture: str | None, input_size: int) -> nn.Module:
    """Build a timm ViT without classifier for square images of ``input_size`` pixels, with timm's random weights.

    Raises ModelError naming the config key: unknown architecture (with the nearest names), one whose blocks do
    not keep a sequence of patch tokens, or an input size that its patches do not divide.
    """
    key = f"models.{name}.architecture"
    check_architecture(name, architecture)
    try:
        module: nn.Module = timm.create_model(architecture, num_classes=0, img_size=input_size)
    except TypeError:
        raise _not_a_vit(key, architecture) from None
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ModelError(f"{key}: timm cannot build {architecture} at {input_size} px: {error}") from error
    if not _keeps_patch_tokens(module):
        raise _not_a_vit(key, architecture)
    parts: Any = module
    patch = parts.patch_embed.feat_ratio()
    if input_size % patch:
        below = input_size // patch * patch
        raise ModelError(
            f"models.{name}.input_size: {input_size} px is not a multiple of the {patch} px patches of "
            f"{architecture}; use {below or patch} or {below + patch}"
        )
    return module


def check_architecture(name: str, architecture: str | None) -> None:
    """Raise ModelError with the nearest timm names unless timm knows the architecture (and tag, if one is given)."""
    key = f"models.{name}.architecture"
    if not architecture:
        raise ModelError(f"{key} is missing: give the name of a timm ViT, for example vit_base_patch16_224")
    plain, _, tag = architecture.partition(".")
    if timm.is_model(plain) and (not tag or architecture in timm.list_pretrained(f"{plain}.*")):
        return
    known = timm.list_pretrained(f"{plain}.*") if timm.is_model(plain) else timm.list_models()
    near = difflib.get_close_matches(architecture if timm.is_model(plain) else plain, known, n=3, cutoff=0.4)
    hint = f"; nearest: {', '.join(near)}" if near else ""
    raise ModelError(f"{key}: timm {timm.__version__} has no {architecture!r}{hint}")


class TimmViT:
    """A timm ViT as a :class:`patchprobe.models.Backbone`.

    Works for every timm model whose blocks keep one sequence of prefix and patch tokens (ViT, DeiT, BEiT, EVA,
    DINOv2, DINOv3, ...). Where the architecture norms only its pooled vector (its token norm is an identity),
    ``final`` leaves the tokens as the last block gives them, as its own ``forward_features`` does; the
    provenance says so.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        entry: Mapping[str, Any],
        *,
        input_size: int,
        norm: Norm,
        device: str,
        provenance: Mapping[str, Any],
    ) -> None:
        vit: Any = module.eval().requires_grad_(False).to(device)
        self.module = vit
        self._norm = norm
        self.name = name
        self.grid: tuple[int, int] = tuple(vit.patch_embed.grid_size)
        self.features: int = vit.embed_dim
        self.blocks: int = len(vit.blocks)
        self.has_cls = getattr(vit, "cls_token", None) is not None
        self.registers: int = vit.num_prefix_tokens - self.has_cls
        self.input_size = input_size
        self.mean = _triple(entry.get("mean") or vit.pretrained_cfg["mean"])
        self.std = _triple(entry.get("std") or vit.pretrained_cfg["std"])
        self.provenance: dict[str, Any] = {
            "architecture": entry["architecture"],
            **provenance,
            "weights_sha256": weights_sha256(module.state_dict()),
            "input_size": input_size,
            "mean": list(self.mean),
            "std": list(self.std),
            "token_norm": _describe_norm(vit.norm, norm),
            "versions": {"timm": timm.__version__, "torch": str(torch.__version__)},
        }

    def tokens(self, images: torch.Tensor, layers: Sequence[int]) -> Tokens:
        """See :meth:`patchprobe.models.Backbone.tokens`; stops after the highest block asked for."""
        prefixed = self.module.num_prefix_tokens > 0
        sequences = self.module.forward_intermediates(
            images,
            indices=[layer - 1 for layer in layers],
            return_prefix_tokens=prefixed,
            norm=self._norm == "final",
            stop_early=True,
            output_fmt="NLC",
            intermediates_only=True,
        )
        patch = torch.stack(
            [self._normed(s[0] if prefixed else s, layer) for layer, s in zip(layers, sequences, strict=True)]
        )
        if not prefixed:
            return Tokens(patch, None, None)
        prefix = torch.stack([self._normed(s[1], layer) for layer, s in zip(layers, sequences, strict=True)])
        return Tokens(
            patch,
            prefix[:, :, 0] if self.has_cls else None,
            prefix[:, :, int(self.has_cls) :] if self.registers else None,
        )

    def _normed(self, tokens: torch.Tensor, layer: int) -> torch.Tensor:
        if self._norm == "final":
            return tokens  # timm has applied it to every block's output
        if layer == self.blocks:
            normed: torch.Tensor = self.module.norm(tokens)
            return normed
        if self._norm == "none":
            return tokens
        return F.layer_norm(tokens, tokens.shape[-1:], eps=getattr(self.module.norm, "eps", 1e-6))


def weights_sha256(weights: Mapping[str, torch.Tensor]) -> str:
    """Return one SHA-256 over all weights (names, shapes, dtypes, values) in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _keeps_patch_tokens(module: nn.Module) -> bool:
    intermediates = getattr(module, "forward_intermediates", None)
    return (
        all(hasattr(module, part) for part in ("blocks", "norm", "num_prefix_tokens"))
        and hasattr(getattr(module, "patch_embed", None), "grid_size")
        and intermediates is not None
        and "return_prefix_tokens" in inspect.signature(intermediates).parameters
    )


def _describe_norm(final: nn.Module, norm: Norm) -> str:
    last = "none, the architecture norms only its pooled vector" if isinstance(final, nn.Identity) else "final"
    return last if norm == "final" else f"{norm} on inner blocks, last block: {last}"


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _not_a_vit(key: str, architecture: str | None) -> ModelError:
    return ModelError(
        f"{key}: {architecture} is not a plain ViT: its blocks do not keep one sequence of patch tokens. "
        "Use a timm ViT, for example vit_base_patch16_224"
    )
