"""A file's tensors, sorted by a layout: through the wrappers of training code, and never by a guess among several sets."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from patchprobe.errors import ModelError, shown
from patchprobe.models.checkpoints.files import layout_names
from patchprobe.models.layout import Contents, names_of, open_layout, shortened, under

# The kernel of the patches, by which a set of weights of a ViT is known, as all layouts and transformers name it.
_MARKS = (
    "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.weight",
    "embeddings.patch_embeddings.weight",
    "conv_proj.weight",
)
# What libraries put before every name: DDP and DataParallel, torch.compile, Lightning modules, heads on a backbone,
# models of transformers with a head. Names that tell weights from others, such as "student", are none.
_WRAPPERS = (
    *("module", "_orig_mod", "model", "backbone", "net", "network", "encoder", "vit", "trunk", "visual", "base_model"),
    *("image_encoder", "vision_encoder", "vision_model", "dinov2", "dinov2_with_registers", "dinov3_vit"),
)
# The same inside of names: torch.compile, FSDP and activation checkpointing of single blocks.
_INSIDE = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_DEEPEST = 4
# Entries that more than one project writes around its weights.
_COMMON = {"state_dict", "model"}


def sort_file(file: Mapping[str, Any], layout: str, key: str, layout_key: str = "layout") -> Contents:
    """Return what ``layout`` makes of a file as it is, or else without the wrappers before its names.

    Raises what :func:`patchprobe.models.layout.open_layout` and the layout raise of the file as it is, and ModelError if
    the file holds several sets of weights and the layout is none that chooses.
    """
    read = open_layout(layout, layout_key)
    first: Exception | None = None
    for candidate, dropped in _without_wrappers(file):
        try:
            contents = read(candidate, key)
        except (ModelError, RuntimeError, LookupError, TypeError, ValueError) as error:
            first = first or error
            continue
        sets = weight_sets(candidate)
        chosen = contents.taken is not None and sum(place.startswith(contents.taken) for place in sets) == 1
        if len(sets) > 1 and not chosen:
            raise ModelError(
                f"{key}: layout {layout} does not say which of the weights in the file are meant, {' or '.join(sets)}"
            )
        return replace(contents, left_out=(*contents.left_out, *dropped))
    assert first is not None
    raise first


def weight_sets(file: Mapping[str, Any], path: str = "") -> list[str]:
    """Return the dotted places, each empty or with a point at its end, of all sets of weights of ViTs in a file."""
    places = []
    for name, value in file.items():
        if isinstance(value, Mapping):
            if path.count(".") < _DEEPEST:
                places += weight_sets(value, f"{path}{name}.")
        elif isinstance(name, str) and isinstance(value, torch.Tensor):
            places += [path + name.removesuffix(mark) for mark in _MARKS if f".{name}".endswith(f".{mark}")]
    return places


def beside(file: Mapping[str, Any], contents: Contents) -> list[str]:
    """Return the places of the sets of weights in a file that were not taken."""
    return [place for place in weight_sets(file) if contents.taken and not place.startswith(contents.taken)]


def layout_hint(name: str, file: Mapping[str, Any], contents: Contents | None = None) -> str:
    """Return a sentence that says what to do with a file that was refused, or nothing.

    It names the layouts under which the file has other names than in ``contents``, but none that would choose among
    several sets of weights by accident; without one, the place of the weights in the file.
    """
    read_as = contents.encoder.keys() if contents else None
    fitting = []
    for other in layout_names():
        # an error of another kind is that of a tensor with another shape than all releases
        with contextlib.suppress(ModelError, RuntimeError, LookupError, TypeError, ValueError):
            found = sort_file(file, other, "")
            # timm's takes any flat file
            if found.encoder.keys() != read_as and (other != "timm" or found.taken):
                fitting.append(other)
    sets = weight_sets(file)
    if fitting:
        lone = sets[0].partition(".")[0] if len(sets) == 1 else ""
        otherwise = f" if it is of that code, and else save its entry {lone!r} alone" if lone in _COMMON else ""
        return f". The file is laid out like {' or '.join(fitting)}: set models.{name}.layout{otherwise}"
    if contents is None and len(sets) > 1:
        return (
            f". It holds several sets of weights ({shortened(sets)}): save the one that you mean in a file of its own, "
            "without these prefixes"
        )
    if contents is None and sets and sets[0]:
        return f". Its weights lie under {shown(sets[0])}: save them alone, without this prefix"
    return "" if contents else f". Set models.{name}.layout to that of its code, or take another file"


def _without_wrappers(file: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], tuple[str, ...]]]:
    """Yield a file as it is, then with one wrapper more taken away each, and the names of what was not wrapped."""
    cleaned = {
        name: _clean(value) if isinstance(value, Mapping) and _is_weights(value) else value
        for name, value in _clean(file).items()
    }
    yield cleaned, ()
    for count in range(1, _DEEPEST + 1):
        result, dropped = _unwrapped(cleaned, count, "")
        if any(isinstance(value, torch.Tensor) for value in cleaned.values()):
            changed = result is not cleaned
        else:
            changed, parts = False, {}
            for name, value in cleaned.items():
                parts[name] = value
                if isinstance(value, Mapping) and _is_weights(value):
                    parts[name], more = _unwrapped(value, count, f"{name}.")
                    dropped += more
                    changed |= parts[name] is not value
            result = parts
        if changed:
            yield result, dropped


def _is_weights(value: Mapping[Any, Any]) -> bool:
    return any(isinstance(part, torch.Tensor) for part in value.values())


def _clean(tensors: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a dictionary whose names are without the wrappers of single modules, where that keeps them apart."""
    names = {name: _INSIDE.sub("", name) if isinstance(name, str) else name for name in tensors}
    if len(set(names.values())) < len(names):
        return dict(tensors)
    return {names[name]: value for name, value in tensors.items()}


def _unwrapped(tensors: Mapping[str, Any], count: int, path: str) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Take ``count`` wrappers away from the only set of weights, if it stands behind as many, or as many as there are."""
    places = weight_sets(tensors)
    if len(places) != 1:
        return tensors, ()
    segments = places[0].split(".")[:-1]
    if len(segments) < count or any(segment not in _WRAPPERS for segment in segments[:count]):
        return tensors, ()
    prefix = ".".join(segments[:count]) + "."
    rest = {name: value for name, value in tensors.items() if not str(name).startswith(prefix)}
    return under(tensors, prefix), tuple(path + name for name in names_of(rest))
