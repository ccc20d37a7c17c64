"""Any plain ViT of timm as a backbone: building one, and reading tokens from its blocks."""

import contextlib
import hashlib
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from torch import nn
from torch.nn import functional as F

from patchprobe.errors import ModelError, suggestion
from patchprobe.models.arguments import arguments_at_fault, check_arguments
from patchprobe.models.backbone import Norm, Tokens
from patchprobe.models.encoding import make_known, own_encoders
from patchprobe.models.gsd import gsd_position_embedding
from patchprobe.models.unfilled import Unfilled

_SIZES = {(192, 12): "Ti", (384, 12): "S", (768, 12): "B", (1024, 24): "L", (1280, 32): "H", (1536, 40): "g"}


def build_vit(
    name: str,
    architecture: str | None,
    input_size: tuple[int, int],
    arguments: Mapping[str, Any] | None = None,
    *,
    drawn: bool = True,
) -> nn.Module:
    """Build a ViT of timm or of our own without classifier for images of ``input_size`` (rows, columns).

    Its weights are random if they are to be ``drawn``, and otherwise whatever lay in memory: load a file's strictly then.
    ``arguments`` are further keyword arguments for timm, such as ``embed_dim``. Raises ModelError naming the config
    key: unknown architecture (with the nearest names), one whose blocks do not keep a sequence of patch tokens, an
    argument that it does not take, or an input size that its patches do not divide.
    """
    key = f"models.{name}.architecture"
    arguments = dict(arguments or {})
    check_architecture(name, architecture)
    check_arguments(name, str(architecture), arguments)
    rows, columns = input_size
    try:
        with contextlib.nullcontext() if drawn else Unfilled():
            module: nn.Module = timm.create_model(architecture, num_classes=0, img_size=input_size, **arguments)
    except Exception as error:  # whatever a wrong value leads to inside timm
        if at_fault := arguments_at_fault(name, str(architecture), arguments, error):
            raise at_fault from error
        if isinstance(error, TypeError):
            raise _not_a_vit(key, architecture) from None
        raise ModelError(f"{key}: timm cannot build {architecture} at {rows} x {columns} px: {error}") from error
    if not _keeps_patch_tokens(module):
        raise _not_a_vit(key, architecture)
    parts: Any = module
    patch = parts.patch_embed.feat_ratio()
    for side in input_size:
        if side % patch:
            below = side // patch * patch
            raise ModelError(
                f"models.{name}.input_size: {side} px is not a multiple of the {patch} px patches of "
                f"{architecture}; use {below or patch} or {below + patch}"
            )
    return module


def check_architecture(name: str, architecture: str | None) -> None:
    """Raise ModelError with the nearest names unless timm or we know the architecture (and tag, if one is given)."""
    key = f"models.{name}.architecture"
    if not architecture:
        raise ModelError(f"{key} is missing: give the name of a timm ViT, for example vit_base_patch16_224")
    plain, _, tag = architecture.partition(".")
    make_known(plain)
    if timm.is_model(plain) and (not tag or architecture in timm.list_pretrained(f"{plain}.*")):
        return
    known = timm.list_pretrained(f"{plain}.*") if timm.is_model(plain) else [*timm.list_models(), *own_encoders()]
    hint = suggestion(architecture if timm.is_model(plain) else plain, known, cutoff=0.4)
    raise ModelError(f"{key}: timm {timm.__version__} has no {architecture!r}{hint and f'; {hint}'}")


def check_size(
    name: str,
    architecture: str,
    module: nn.Module,
    weights: Mapping[str, torch.Tensor],
    arguments: Mapping[str, Any] | None = None,
) -> None:
    """Raise ModelError saying what a file holds if its width, depth, patch size or registers are not those of the model.

    ``arguments`` are those that the model was built with: where they decide the size, they are named.
    """
    vit: Any = module
    _check_registers(name, architecture, module, weights)
    _check_relative_positions(name, module, weights)
    held, built = _size(weights), _size(vit.state_dict())
    if held is None or built is None or held == built:
        return
    own = [argument for argument in ("embed_dim", "depth", "patch_size") if argument in (arguments or {})]
    if own:
        values = ", ".join(f"{argument}: {(arguments or {})[argument]}" for argument in own)
        raise ModelError(
            f"models.{name}.checkpoint: the file holds {_describe_size(*held)}, but models.{name}.arguments ({values}) make "
            f"{architecture} {_describe_size(*built)}; correct the arguments or the architecture, or name another file"
        )
    raise ModelError(
        f"models.{name}.checkpoint: the file holds {_describe_size(*held)}, but models.{name}.architecture is "
        f"{architecture}, {_describe_size(*built)}; name the architecture of the file, or another file"
    )


def set_rope_periods(name: str, module: nn.Module, periods: torch.Tensor) -> None:
    """Put a file's RoPE periods (head width / 4,) in place of those that timm computes, which it never loads.

    Raises ModelError naming the key if the model has no such periods.
    """
    rope: Any = getattr(module, "rope", None)
    if getattr(rope, "periods", None) is None or rope.periods.shape != periods.shape:
        raise ModelError(
            f"models.{name}.checkpoint: the weights hold {len(periods)} RoPE periods, those of heads of "
            f"{4 * len(periods)} features, which {type(module).__name__} has no place for; correct "
            f"models.{name}.arguments.num_heads, or name the architecture these weights were trained with"
        )
    rope.periods.copy_(periods.float())
    if rope.feat_shape is not None:
        rope._cache_embed(rope.feat_shape)


def count_rope_positions(name: str, module: nn.Module) -> None:
    """Let rotary positions count patches at every size, which timm scales to the grid of the training.

    Raises ModelError naming the key if the model has no such positions.
    """
    rope: Any = getattr(module, "rope", None)
    if not hasattr(rope, "ref_feat_shape"):
        raise ModelError(
            f"models.{name}.architecture: {type(module).__name__} has no rotary positions, which these weights were trained "
            "with; name the architecture of the file"
        )
    rope.ref_feat_shape = None
    rope.init_non_persistent_buffers()


def set_norm_eps(module: nn.Module, eps: float) -> None:
    """Set the epsilon of every LayerNorm."""
    for part in module.modules():
        if isinstance(part, nn.LayerNorm):
            part.eps = eps


class TimmViT:
    """A timm ViT as a :class:`patchprobe.models.backbone.Backbone`.

    Works for every timm model whose blocks keep one sequence of prefix and patch tokens (ViT, DeiT, BEiT, EVA,
    DINOv2, DINOv3, ...). Where the architecture norms only its pooled vector (its token norm is an identity),
    ``final`` leaves the tokens as the last block gives them, as its own ``forward_features`` does; the
    provenance says so. ``decoder_weights`` are those of the decoder that the file brought along, empty if none; see
    :mod:`patchprobe.models.decoders.reconstruction`.
    """

    def __init__(
        self,
        name: str,
        module: nn.Module,
        entry: Mapping[str, Any],
        *,
        norm: Norm,
        device: str,
        provenance: Mapping[str, Any],
        decoder_weights: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        vit: Any = module.eval().requires_grad_(False).to(device)
        self.module = vit
        self.decoder_weights = dict(decoder_weights or {})
        self._norm = norm
        self.name = name
        self.grid: tuple[int, int] = tuple(vit.patch_embed.grid_size)
        self.features: int = vit.embed_dim
        self.blocks: int = len(vit.blocks)
        self.has_cls = getattr(vit, "cls_token", None) is not None
        self.registers: int = vit.num_prefix_tokens - self.has_cls
        rows, columns = vit.patch_embed.img_size
        self.input_size: tuple[int, int] = (rows, columns)
        self.mean = _triple(entry.get("mean") or vit.pretrained_cfg["mean"])
        self.std = _triple(entry.get("std") or vit.pretrained_cfg["std"])
        self.provenance: dict[str, Any] = {
            "architecture": entry["architecture"],
            "arguments": dict(entry.get("arguments") or {}),
            **provenance,
            "weights_sha256": weights_sha256(module.state_dict()),
            "input_size": list(self.input_size),
            "mean": list(self.mean),
            "std": list(self.std),
            "token_norm": _describe_norm(vit, norm),
            "versions": {"timm": timm.__version__, "torch": str(torch.__version__)},
        }

    def tokens(
        self, images: torch.Tensor, layers: Sequence[int], ground_sample_distances: torch.Tensor | None = None
    ) -> Tokens:
        """See :meth:`patchprobe.models.backbone.Backbone.tokens`; stops after the highest block asked for."""
        if ground_sample_distances is not None:
            metres = ground_sample_distances.to(images.device)
            embedding = gsd_position_embedding(self.grid, self.features, metres)
            self.module.pos_embed = nn.Parameter(embedding, requires_grad=False)
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


def _size(weights: Mapping[str, torch.Tensor]) -> tuple[int, int, int] | None:
    """Return features, blocks and patch side, or None where names do not tell them."""
    kernel = weights.get("patch_embed.proj.weight")
    blocks = {name.split(".")[1] for name in weights if name.startswith("blocks.")}
    if kernel is None or kernel.ndim != 4 or not blocks:
        return None
    return kernel.shape[0], len(blocks), kernel.shape[-1]


def _check_registers(name: str, architecture: str, module: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    held, built = weights.get("reg_token"), getattr(module, "reg_token", None)
    counts = [0 if token is None else int(token.shape[1]) for token in (held, built)]
    if held is None or counts[0] == counts[1]:
        return
    raise ModelError(
        f"models.{name}.checkpoint: beside [CLS] the file holds {counts[0]} tokens (registers, or further class tokens), for "
        f"which {architecture} has {counts[1] or 'no'} places; name the architecture of the file, or set "
        f"models.{name}.arguments.reg_tokens: {counts[0]} if its registry entry has that"
    )


def _check_relative_positions(name: str, module: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Raise ModelError where relative positions of patches are those of another grid than the input's."""
    vit: Any = module
    sides = [_side(state) for state in (weights, vit.state_dict())]
    if None in sides or sides[0] == sides[1] or _size(weights) != _size(vit.state_dict()):
        return
    patch = vit.patch_embed.patch_size[0]
    raise ModelError(
        f"models.{name}.input_size: the file has relative positions of {sides[0]} x {sides[0]} patches, which are brought to no other "
        f"size, and the input has {vit.patch_embed.grid_size[0]} x {vit.patch_embed.grid_size[1]}: set it to {sides[0] * patch} px"
    )


def _side(weights: Mapping[str, torch.Tensor]) -> int | None:
    """Return the side in patches of a table of relative positions, (2 side - 1)^2 and three of [CLS]; None without one."""
    tables = [value for key, value in weights.items() if key.endswith("relative_position_bias_table")]
    side = math.isqrt(max(len(tables[0]) - 3, 0)) if tables else 0
    return (side + 1) // 2 if tables and side * side == len(tables[0]) - 3 and side % 2 else None


def _describe_size(features: int, blocks: int, patch: int) -> str:
    known = _SIZES.get((features, blocks))
    return f"a ViT{f'-{known}' if known else ''}/{patch} ({features} features, {blocks} blocks)"


def _keeps_patch_tokens(module: nn.Module) -> bool:
    intermediates = getattr(module, "forward_intermediates", None)
    return (
        all(hasattr(module, part) for part in ("blocks", "norm", "num_prefix_tokens"))
        and hasattr(getattr(module, "patch_embed", None), "grid_size")
        and intermediates is not None
        and "return_prefix_tokens" in inspect.signature(intermediates).parameters
    )


def _describe_norm(vit: Any, norm: Norm) -> str:
    last = "final"
    if isinstance(vit.norm, nn.Identity):
        pooled = isinstance(getattr(vit, "fc_norm", None), nn.Module) and not isinstance(vit.fc_norm, nn.Identity)
        last = f"none, the architecture {'norms only its pooled vector' if pooled else 'has no norm behind its blocks'}"
    return last if norm == "final" else f"{norm} on inner blocks, last block: {last}"


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _not_a_vit(key: str, architecture: str | None) -> ModelError:
    return ModelError(
        f"{key}: {architecture} is not a plain ViT: its blocks do not keep one sequence of patch tokens. "
        "Use a timm ViT, for example vit_base_patch16_224"
    )
