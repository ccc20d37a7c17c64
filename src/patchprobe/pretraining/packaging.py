"""Put finished pretraining runs into the package: ``python -m patchprobe.pretraining.packaging results/pretraining demo``.

Each run becomes ``weights/<prefix>-<objective>.safetensors``, with ``-decoder`` before the suffix for a decoder, ``.json``
for its card and ``.csv`` for its loss curve. A configuration names the weights ``package:<file>``.
"""

import argparse
import json
import shutil
from pathlib import Path

from patchprobe.errors import PatchprobeError, StoreError
from patchprobe.files import file_sha256, write_atomic
from patchprobe.models.checkpoints.files import WEIGHTS
from patchprobe.own_files import read_mapping, read_table

# Points of a packaged loss curve, each the mean of its part of the run: one row per step would be as large as weights.
POINTS = 200


def package_runs(runs: Path, prefix: str, weights: Path = WEIGHTS) -> list[Path]:
    """Copy every run below ``runs`` into the folder ``weights``; returns the encoders.

    Raises StoreError for a run whose files are not those of its card, and if there is none.
    """
    cards = sorted(runs.glob("*/card.json"))
    if not cards:
        raise StoreError(f"{runs} has no finished run (*/card.json): run the target pretraining first")
    weights.mkdir(exist_ok=True)
    return [_package_run(card, f"{prefix}-{card.parent.name}", weights) for card in cards]


def _package_run(card: Path, name: str, weights: Path) -> Path:
    facts = read_mapping(card, {"files": dict})
    for file, known in facts["files"].items():
        source = card.with_name(file)
        if not source.is_file() or file_sha256(source) != known["sha256"]:
            raise StoreError(f"{source} is not the file that {card} was written for: train {card.parent.name} again")
    names = {file: f"{name}{'-decoder' if 'decoder' in file else ''}.safetensors" for file in facts["files"]}
    for file, new in names.items():
        shutil.copyfile(card.with_name(file), weights / new)
    facts["files"] = {names[file]: known for file, known in facts["files"].items()}
    write_atomic(weights / f"{name}.json", json.dumps(facts, indent=1, sort_keys=True) + "\n")
    steps = read_table(card.with_name("loss.csv"), {"step": int, "images": int, "learning_rate": float, "loss": float})
    part = steps.index * POINTS // len(steps)
    curve = steps.groupby(part).agg({"step": "last", "images": "last", "learning_rate": "mean", "loss": "mean"})
    write_atomic(weights / f"{name}.csv", curve.to_csv(index=False, float_format="%.6g"))
    return weights / f"{name}.safetensors"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, help="the folder of finished runs")
    parser.add_argument("prefix", help="begins the name of every file")
    arguments = parser.parse_args()
    try:
        for encoder in package_runs(arguments.runs, arguments.prefix):
            print(encoder)
    except PatchprobeError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
