"""The cost of each stage of a run against its size: ``python -m benchmarks.scaling FOLDER``, twice as many images each time.

The workflow itself is run, one job at a time with one thread, and what is taken is the processor's time of each job, which
other work on the machine changes little. The folder keeps the run, so that the same line goes on after a kill; the table
``scaling.csv`` and the figure ``scaling.svg`` are written into it.
"""

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from scipy.optimize import nnls
from tabulate import tabulate

from patchprobe.files import write_atomic

mpl.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
TIMES = (1, 2, 4, 8)
# What a stage is called here, its rule, its data sets, and the power of the size that its cost has in theory: all patches
# of a data set look for each other in retrieval, while the memory bank of 1-NN is the same for all sizes.
STAGES = {
    "tiling": ("tile", "pictures", 1),
    "corruption": ("corrupt", "pictures", 1),
    "extraction": ("extract", "streets", 1),
    "1-NN and linear classification": ("patch_classification", "streets", 1),
    "retrieval": ("patch_retrieval", "aerial", 2),
    "tracking": ("tracking", "videos", 1),
}
_UNITS = {"pictures": 32, "streets": 4, "aerial": 4, "videos": 2}
_TARGETS = {
    "pictures": ["results/{name}/tiles/clean.manifest.json", "results/{name}/tiles/noise.manifest.json"],
    "streets": ["results/{name}/patch_classification/vit.noise.parquet"],
    "aerial": ["results/{name}/patch_retrieval/vit.parquet"],
    "videos": ["results/{name}/tracking/vit.parquet"],
}


def config() -> dict[str, object]:
    """Return a configuration with a data set of each kind for each size, and a ViT-S of random weights."""
    datasets: dict[str, object] = {}
    for times in TIMES:
        images = {kind: unit * times for kind, unit in _UNITS.items()}
        for kind in ("pictures", "streets"):
            datasets[f"{kind}{times}"] = {
                "adapter": "cityscapes",
                "generate": {
                    "generator": "street",
                    "options": {
                        "train": {"cities": 3, "images_per_city": 2},
                        "val": {"cities": 1, "images_per_city": images[kind]},
                    },
                },
                "splits": {"train": {"source": "train"}, "evaluation": {"source": "val"}},
                "tiling": {"size": 128, "resize": 224},
                "corruptions": ["noise"],
            }
        datasets[f"aerial{times}"] = {
            "adapter": "fair1m",
            "generate": {
                "generator": "aerial",
                "options": {"train": {"images": images["aerial"]}, "validation": {"images": 1}},
            },
            "splits": {"evaluation": {"source": "train"}},
            "tiling": {"size": 128, "resize": 224},
            "corruptions": ["noise"],
        }
        datasets[f"videos{times}"] = {
            "adapter": "bdd100k",
            "generate": {"generator": "street_video", "options": {"videos": images["videos"], "frames": 8}},
            "splits": {"evaluation": {"source": "val"}},
            "tiling": {"size": 64, "resize": 224},
        }
    return {
        "seed": 0,
        "device": "cpu",
        "threads": 1,
        "datasets": datasets,
        "models": {"vit": {"source": "random", "architecture": "vit_small_patch16_224"}},
        "corruptions": {"noise": {"levels": [25]}},
        "patch_classification": {"linear": {"steps": 100, "learning_rates": [0.01]}},
        "tracking": {"frames": [1, 2]},
    }


def measure(folder: Path) -> pd.DataFrame:
    """Run the workflow in ``folder`` as far as it has not run; returns stage, images (times the unit), seconds and MiB."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "scaling.json", json.dumps(config(), indent=1) + "\n")
    targets = [file.format(name=f"{kind}{times}") for kind, times in product(_UNITS, TIMES) for file in _TARGETS[kind]]
    command = [str(Path(sys.executable).with_name("snakemake")), "--snakefile", str(ROOT / "Snakefile")]
    options = [
        "--directory",
        str(folder),
        "--configfile",
        str(folder / "scaling.json"),
        "--cores",
        "1",
        "--quiet",
        "all",
    ]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    subprocess.run([*command, *options, "--", *targets], check=True, env=environment)
    rows = []
    for stage, (rule, kind, theory) in STAGES.items():
        for times in TIMES:
            found = pd.concat(
                pd.read_csv(path, sep="\t") for path in (folder / "logs" / rule).glob(f"{kind}{times}.*benchmark.tsv")
            )
            rows.append((stage, theory, times, found["cpu_time"].astype(float).sum(), found["max_rss"].max()))
    return pd.DataFrame(rows, columns=["stage", "theory", "size", "cpu_seconds", "mebibytes"])


def exponents(times: pd.DataFrame) -> pd.DataFrame:
    """Return for each stage its cost at every size, and what its exponent is.

    ``exponent`` is that from the second largest to the largest size, with the start of a job in it, which lowers it. ``start``
    and ``each`` are the fit of start + each * size ** theory, neither below zero, by least squares of relative errors, and ``fit`` is
    the largest of these errors: where it is small, the cost grows as in theory.
    """
    rows = []
    for stage, part in times.groupby("stage", sort=False):
        seconds, size = part["cpu_seconds"].to_numpy(), part["size"].to_numpy(float)
        theory = int(part["theory"].iloc[0])
        terms = np.stack([np.ones_like(size), size**theory], axis=1) / seconds[:, None]
        (start, each), _ = nnls(terms, np.ones_like(size))
        error = float(np.abs(terms @ (start, each) - 1).max())
        exponent = float(np.log2(seconds[-1] / seconds[-2]))
        rows.append((stage, theory, *seconds, exponent, start, each, error, part["mebibytes"].max()))
    sizes = [f"{times}x, s" for times in TIMES]
    columns = ["stage", "theory", *sizes, "exponent", "start, s", "each, s", "fit", "peak, MiB"]
    return pd.DataFrame(rows, columns=columns)


def draw(times: pd.DataFrame, path: Path) -> None:
    """Draw the processor's time of each stage against the size, both on logarithmic axes."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for stage, part in times.groupby("stage", sort=False):
        axes.plot(part["size"], part["cpu_seconds"], marker="o", label=stage)
    axes.set(xscale="log", yscale="log", xlabel="images, times the smallest number", ylabel="processor time, s")
    axes.set_xticks(TIMES, [str(times) for times in TIMES])
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= 2 * times["cpu_seconds"].max()]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def main(folder: Path) -> None:
    """Measure, print and write."""
    times = measure(folder)
    table = exponents(times)
    write_atomic(folder / "scaling.csv", table.to_csv(index=False, float_format="%.4g"))
    draw(times, folder / "scaling.svg")
    print(tabulate(table, headers="keys", showindex=False, floatfmt=".3g"))


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("say: python -m benchmarks.scaling FOLDER")
    main(Path(sys.argv[1]))
