"""Layout ``data2vec2``: a pre-training checkpoint of data2vec 2.0 for images, the student; architecture ``data2vec2_vit``.

Source: ``examples/data2vec/models/data2vec2.py`` (``state_dict``), ``mae_image_classification.py``, which fine-tunes the
student, and ``config/v2`` of facebookresearch/fairseq (3d262bb2). The teacher stands among the student's tensors as
``_ema``; layout ``data2vec2-ema`` takes it. Settings there say that a ViT-B has its first two blocks in
``context_encoder.blocks``, converters that it has none there: files of both kinds are read.
"""

import re
from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import (
    IMAGENET,
    Contents,
    Weights,
    flat,
    names_of,
    renamed,
    require,
    with_prefix_replaced,
)

TEACHER = "_ema"

_IMAGE = "modality_encoders.IMAGE."
_CONTEXT = f"{_IMAGE}context_encoder.blocks."
_BLOCK = re.compile(r"blocks\.(\d+)\.")
_NAMES = {
    f"{_IMAGE}extra_tokens": "cls_token",
    f"{_IMAGE}fixed_positional_encoder.positions": "pos_embed",
    f"{_IMAGE}local_encoder.proj.": "patch_embed.proj.",
    f"{_IMAGE}context_encoder.norm.": "norm_pre.",
    _CONTEXT: "blocks.",
}
_HEADS = {768: 12, 1024: 16, 1280: 16}


def read_data2vec2(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the teacher, the decoder and the state of the training are left out."""
    model = file.get("model")
    student = {name: value for name, value in model.items() if name != TEACHER} if isinstance(model, Mapping) else {}
    return sorted_out(file, student, "model.", "data2vec2", key)


def sorted_out(file: Mapping[str, Any], network: object, place: str, layout: str, key: str) -> Contents:
    """Return the contents of a file of which the tensors ``network`` are taken, those at the dotted ``place``."""
    tensors = flat(network, layout, key, where=repr(place.rstrip(".")))
    require(tensors, layout, key, present=[*list(_NAMES)[:2], f"{_IMAGE}local_encoder.proj.weight"])
    used = {name: value for name, value in tensors.items() if not name.startswith(f"{_IMAGE}decoder.")}
    encoder = _renamed(used, layout, key)
    return Contents(
        encoder,
        left_out=tuple(name for name in _names(file) if name.removeprefix(place) not in used),
        norm_eps=1e-6,
        square=True,
        normalisation=IMAGENET,
        heads=_HEADS.get(encoder["cls_token"].shape[-1]),
        taken=place,
    )


LAYOUT = read_data2vec2


def _renamed(tensors: Weights, layout: str, key: str) -> Weights:
    first = {name.removeprefix(_CONTEXT).partition(".")[0] for name in tensors if name.startswith(_CONTEXT)}

    def our_name(name: str) -> str:
        if block := _BLOCK.match(name):
            return f"blocks.{int(block[1]) + len(first)}.{name[block.end() :]}"
        return with_prefix_replaced(name, _NAMES)

    return renamed(tensors, our_name, layout, key)


def _names(file: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of everything in a file, with those of both networks under ``model``."""
    model = dict(file["model"])
    teacher = {TEACHER: model.pop(TEACHER)} if TEACHER in model else {}
    others = {name: value for name, value in file.items() if name != "model"}
    return [*names_of(others), *names_of(model, "model."), *names_of(teacher, "model.")]
