"""How released files name and wrap their tensors.

A model's `layout` in the config names the module that takes its file apart: layout ``moco-v3`` is
``layouts/moco_v3.py``, whose ``LAYOUT`` is a :class:`Layout`. There is no list to edit: a new layout is one new file.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch

from patchprobe.errors import ModelError, shown
from patchprobe.models import layouts
from patchprobe.models.checkpoints.files import check_layout

Weights = dict[str, torch.Tensor]
PositionEmbedding = Literal[
    "timm", "dino", "vitmae", "bilinear", "bilinear-antialiased", "radio", "radio-aligned", "gsd"
]
Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]

# mean and standard deviation of ImageNet's pixels in 0..1, as in torchvision's references and all code here but timm's
IMAGENET: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# those of CLIP's images, which many later models keep
CLIP: Normalisation = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))

_SHOWN = 6
_LONGEST = 100  # letters of a name


@dataclass(frozen=True)
class Contents:
    """The tensors of a file, sorted.

    ``encoder`` has timm's names for the architecture, ``decoder`` the official names of the decoder, free of any
    wrapping; ``left_out`` names what is knowingly not used (heads, projectors, training state), as the file has it.
    What no tensor tells is that of the code that the layout belongs to: ``norm_eps`` is the epsilon of all LayerNorms,
    ``position_embedding`` how the position embedding gets to another input size, ``square`` whether a square number of
    positions is always that of a square, ``counted_rope`` whether rotary positions count patches at all sizes where timm
    scales them to the grid of the training, ``normalisation`` the mean and standard deviation of pixels, ``heads`` the
    number of attention heads; None leaves it to the architecture. ``asked`` has keys of the entry, such as ``mean``
    or ``arguments.num_heads``, that the code leaves open, each with the reason; they have to be given. ``taken`` is the
    dotted place of the weights in a file that holds several sets of them, if the layout is one that chooses.
    """

    encoder: Weights
    decoder: Weights = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    norm_eps: float | None = None
    position_embedding: PositionEmbedding = "timm"
    square: bool = False
    counted_rope: bool = False
    normalisation: Normalisation | None = None
    heads: int | None = None
    asked: Mapping[str, str] = field(default_factory=dict)
    taken: str | None = None


class Layout(Protocol):
    """Sorts the tensors of a file, without changing ``file`` and without losing a name."""

    def __call__(self, file: Mapping[str, Any], key: str) -> Contents:
        """Return the contents of a file as it was read.

        Names that the layout does not know stay in ``encoder``, where strict loading reports them. Raises ModelError
        naming the config ``key`` and what the file looks like instead.
        """
        ...


def open_layout(name: str, key: str = "layout") -> Layout:
    """Return the layout ``name``; raises ConfigError naming the config ``key`` and the nearest if there is none."""
    check_layout(key, name)
    module = importlib.import_module(f"{layouts.__name__}.{name.replace('-', '_')}")
    layout: Layout = module.LAYOUT
    return layout


def flat(tensors: object, layout: str, key: str, where: str = "the file") -> Weights:
    """Return a flat dictionary of tensors as a new one; raises ModelError saying what is there if it is not one."""
    if not isinstance(tensors, Mapping) or not tensors:
        raise ModelError(f"{key}: not of layout {layout}: {where} holds no tensors but {_describe(tensors)}")
    others = [str(name) for name, value in tensors.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise ModelError(
            f"{key}: not of layout {layout}: {where} is not a flat dictionary of tensors (it holds: {shortened(others)})"
        )
    unnamed = [name for name in tensors if not isinstance(name, str)]
    if unnamed:
        raise ModelError(
            f"{key}: not of layout {layout}: {where} holds tensors under {shortened(list(map(repr, unnamed)))}"
        )
    special = [name for name, value in tensors.items() if not _is_plain(value)]
    if special:
        raise ModelError(
            f"{key}: sparse, quantised or empty (meta) tensors are no weights: {shortened(special)}; save them as plain ones"
        )
    return dict(tensors)


def entry(file: Mapping[str, Any], name: str, layout: str, key: str) -> Weights:
    """Return the flat dictionary of tensors under ``name``; raises ModelError listing what is there if it is absent."""
    if name not in file:
        raise ModelError(
            f"{key}: not of layout {layout}: the file has no entry {name!r} (it holds: {shortened(list(map(str, file)))})"
        )
    return flat(file[name], layout, key, where=repr(name))


def require(tensors: Weights, layout: str, key: str, *, present: Sequence[str], absent: Sequence[str] = ()) -> None:
    """Raise ModelError unless the tensors have the names that tell a layout from others, and none that belie it."""
    for name in present:
        if name not in tensors:
            raise ModelError(
                f"{key}: not of layout {layout}: there is no {name} (but {shortened(sorted(tensors)) or 'nothing'})"
            )
    for name in absent:
        if name in tensors:
            raise ModelError(f"{key}: not of layout {layout}: there is a {name}")


def under(tensors: Mapping[str, torch.Tensor], prefix: str) -> Weights:
    """Return those tensors whose names start with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def names_of(file: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the dotted names of everything in a file: of tensors, and of whatever is not a dictionary of tensors."""
    for name, value in file.items():
        if isinstance(value, Mapping) and value and all(isinstance(part, torch.Tensor) for part in value.values()):
            yield from names_of(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def renamed(tensors: Weights, rename: Callable[[str], str], layout: str, key: str) -> Weights:
    """Return the tensors under new names; raises ModelError if two of them would get the same."""
    result: Weights = {}
    for name, value in tensors.items():
        if rename(name) in result:
            raise ModelError(f"{key}: not of layout {layout}: {shown(name)} is there a second time under another name")
        result[rename(name)] = value
    return result


def with_prefix_replaced(name: str, prefixes: Mapping[str, str]) -> str:
    """Return a name with the first of ``prefixes`` that it starts with replaced; unchanged if it starts with none."""
    for theirs, ours in prefixes.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name


def teacher_backbone(file: Mapping[str, Any], layout: str, key: str) -> tuple[Weights, str, tuple[str, ...]]:
    """Return the backbone of the teacher of a training checkpoint, its dotted place, and the names of all else.

    The teacher, a running mean of the student, is what DINO, iBOT and DINOv2 evaluate and release.
    """
    tensors = entry(file, "teacher", layout, key)
    prefix = "module.backbone." if any(name.startswith("module.") for name in tensors) else "backbone."
    if "patch_embed.proj.weight" in tensors:  # exported without the wrapper of backbone and head
        prefix = ""
    backbone = under(tensors, prefix)
    if not backbone:
        raise ModelError(
            f"{key}: not of layout {layout}: 'teacher' has no {prefix}* (but {shortened(sorted(tensors))})"
        )
    place = f"teacher.{prefix}"
    return backbone, place, all_but(file, place, backbone)


def teacher_or_flat(file: Mapping[str, Any], layout: str, key: str) -> tuple[Weights, str, tuple[str, ...]]:
    """Return what :func:`teacher_backbone` does of a training checkpoint, and a released backbone as it is, at an empty place."""
    if "teacher" in file or "student" in file:
        return teacher_backbone(file, layout, key)
    return flat(file, layout, key), "", ()


def target_encoder(file: Mapping[str, Any], layout: str, key: str) -> tuple[Weights, str]:
    """Return the target encoder of a training checkpoint, a running mean, and its dotted place."""
    tensors = entry(file, "target_encoder", layout, key)
    prefix = "module." if any(name.startswith("module.") for name in tensors) else ""
    return under(tensors, prefix), f"target_encoder.{prefix}"


def all_but(file: Mapping[str, Any], place: str, used: Iterable[str]) -> tuple[str, ...]:
    """Return the dotted names of everything in a file but the tensors ``used`` at a place."""
    taken = {f"{place}{name}" for name in used}
    return tuple(name for name in names_of(file) if name not in taken)


def width(tensors: Weights) -> int:
    """Return the number of features of the encoder, or 0 if it has no ``norm.weight``."""
    norm = tensors.get("norm.weight")
    return 0 if norm is None else norm.numel()


def shortened(names: Sequence[str]) -> str:
    """Return the first few names as text, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(shown(name, _LONGEST) for name in names[:_SHOWN])}{more}"


def _is_plain(value: torch.Tensor) -> bool:
    """Tell whether a tensor holds all its values, one by one, in memory."""
    return (
        type(value) in (torch.Tensor, torch.nn.Parameter)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and not value.is_nested
    )


def _describe(value: object) -> str:
    if isinstance(value, Mapping):
        return "an empty dictionary"
    return f"a {type(value).__name__}"
