"""The linear probe: one softmax layer from patch tokens to classes, as fitted by :mod:`patchprobe.probes.fitting`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from patchprobe.errors import ModelError

FORMAT = "patchprobe-linear-probe-v3"
_ARRAYS = ("weights", "bias", "mean", "scale", "class_ids")
_BLOCK = 8192  # rows of tokens converted at a time


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe: scores are ``((tokens - mean) * scale) @ weights.T + bias``.

    ``weights`` float32 (classes, features), ``bias`` float32 (classes,), ``mean`` and ``scale`` float32 (features,),
    ``class_ids`` int64 (classes,), the classes that occur in training. ``validation_accuracy`` holds the patch
    accuracy on held-out training images for each pair (learning rate, weight decay) tried; it is empty if none were
    held out.
    """

    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    mean: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]
    learning_rate: float
    weight_decay: float
    validation_accuracy: dict[tuple[float, float], float]

    def predict(self, tokens: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the class id (...,) of tokens (..., features)."""
        if tokens.shape[-1] != self.weights.shape[1]:
            raise ModelError(
                f"tokens have {tokens.shape[-1]} features and the probe was fitted on {self.weights.shape[1]}: "
                "extract both again from one model and layer"
            )
        flat = tokens.reshape(-1, tokens.shape[-1])
        best = np.empty(len(flat), np.int64)
        for start in range(0, len(flat), _BLOCK):
            rows = slice(start, start + _BLOCK)
            scores = ((flat[rows].astype(np.float32) - self.mean) * self.scale) @ self.weights.T
            scores += self.bias
            if not np.isfinite(scores).all():
                raise ModelError(
                    "some tokens are infinite or not a number: set extraction.dtype to float32, and extraction.precision to fp32"
                )
            best[rows] = scores.argmax(axis=1)
        return self.class_ids[best].reshape(tokens.shape[:-1])

    def save(self, path: Path) -> None:
        """Write the probe as safetensors, equal probes as equal bytes; what is not an array goes into its metadata."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        facts = {
            "format": FORMAT,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "validation_accuracy": [[*pair, accuracy] for pair, accuracy in self.validation_accuracy.items()],
        }
        # One key only: safetensors writes several in an order that differs from one time to the next.
        save_file(arrays, path, metadata={"probe": json.dumps(facts, sort_keys=True)})

    @classmethod
    def load(cls, path: Path) -> "LinearProbe":
        """Read a probe that :meth:`save` wrote. Raises ModelError for any other file."""
        try:
            with safe_open(path, framework="numpy") as file:
                facts = _facts(file.metadata() or {})
                if facts.get("format") != FORMAT:
                    raise ModelError(f"{path} is not a linear probe of format {FORMAT}: remove it and fit it again")
                return cls(
                    **{name: file.get_tensor(name) for name in _ARRAYS},
                    learning_rate=facts["learning_rate"],
                    weight_decay=facts["weight_decay"],
                    validation_accuracy={(rate, decay): found for rate, decay, found in facts["validation_accuracy"]},
                )
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{path} cannot be read as a linear probe ({error}): remove it and fit it again"
            ) from error


def _facts(metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        facts = json.loads(metadata.get("probe", ""))
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
