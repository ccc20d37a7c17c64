"""Layout ``data2vec2-ema``: a pre-training checkpoint of data2vec 2.0 for images, the teacher; see ``data2vec2``."""

from collections.abc import Mapping
from typing import Any

from patchprobe.models.layout import Contents
from patchprobe.models.layouts.data2vec2 import TEACHER, sorted_out


def read_data2vec2_ema(file: Mapping[str, Any], key: str) -> Contents:
    """See :class:`patchprobe.models.layout.Layout`; the student, its decoder and the state of the training are left out."""
    model = file.get("model")
    teacher = model.get(TEACHER) if isinstance(model, Mapping) else None
    return sorted_out(file, teacher, f"model.{TEACHER}.", "data2vec2-ema", key)


LAYOUT = read_data2vec2_ema
