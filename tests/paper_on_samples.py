"""Run ``config/paper.yaml`` whole on samples: genuine pieces of its seven data sets, and its models with small networks.

    python tests/paper_on_samples.py FOLDER [words for snakemake]

``PATCHPROBE_SHARED`` names the folder with the samples and the manifests of the released files. Files of weights are made with the
names and the nesting of those, but three blocks of 48 features and values that are drawn. Of the configuration is changed how many
images there are, how large networks are, how many features are removed and how long probes learn. The exit status is that of Snakemake;
``snakemake`` in ``FOLDER/project`` goes on where a run stopped.
"""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / f"tests/{name}") for name in ("golden", "workflow")]

from official import Golden  # noqa: E402
from projects import make_project  # noqa: E402

from patchprobe.models.registered import registered_model  # noqa: E402

SHARED = Path(os.environ.get("PATCHPROBE_SHARED", REPOSITORY.parent / "shared")).resolve()
# Where samples of each data set lie, by the root that the configuration gives it.
ROOTS = {
    "cityscapes": "cityscapes",
    "FAIR1M": "fair1m/FAIR1M",
    "bdd100k": "bdd100k_mot/bdd100k",
    "MOT17": "mot17/MOT17",
    "UCMerced_LandUse": "ucmerced/UCMerced_LandUse",
    "NWPU-RESISC45": "resisc45/NWPU-RESISC45",
}
# Training and validation images of ADE20K lie apart.
ADE20K = {"training": "ade20k_train", "validation": "ade20k"}
SPLITS = {
    "cityscapes": {"train": {"source": "train", "images": 3}, "evaluation": {"source": "train", "images": 2}},
    "ade20k": {"train": {"source": "training", "images": 1}, "evaluation": {"source": "validation", "images": 3}},
    "fair1m": {"evaluation": {"source": "train", "tiles_per_class": 1}},
    "bdd100k": {"evaluation": {"source": "val", "videos": 1}},
    "ucmerced": {"evaluation": {"source": "all", "per_class": 2}, "train": {"source": "all"}},
    "resisc45": {"evaluation": {"source": "all", "per_class": 5}, "train": {"source": "all"}},
}
# The folder with the manifest of each model's file, and which file it is.
MANIFESTS = {
    "supervised": ("torchvision_vit_b_16", "primary"),
    "dino": ("dino_vitb16", "primary"),
    "dinov2": ("dinov2_vitb14", "primary"),
    "ibot": ("ibot_vitb16", "primary"),
    "mae": ("mae_vitb16", "encoder_only"),
    "mae-visualize": ("mae_vitb16", "primary"),
    "simmim": ("simmim_vitb16", "primary"),
    "scalemae": ("scalemae_vitl16", "primary"),
}
REDUCED = {"embed_dim": 48, "depth": 3, "num_heads": 3}
REMOVED = 12
LESS = {
    "threads": 1,
    "fork_jobs": True,
    "patch_classification": {"linear": {"steps": 100}},
    "removal_sweep": {"steps": 50},
    "removal_curves": {"steps": 20, "counts": [2, 10, 20]},
    "training_size": {"steps": 20},
    "overclustering": {"seeds": 1, "restarts": 1},
    "token_contents": {"tiles": 24},
}


def main(folder: Path, *words: str) -> int:
    """Make data, weights and configuration in ``folder``, and run with further ``words`` for Snakemake."""
    if folder.exists():
        sys.exit(f"{folder} exists: give a new folder, or go on with `snakemake` in {folder / 'project'}")
    project = make_project(REPOSITORY, folder / "project", {})
    (folder / "checkpoints").mkdir()
    digests = {model: write_weights(model, folder / "checkpoints") for model in MANIFESTS}
    lay_out_samples(folder / "data")
    config = smaller(yaml.safe_load((REPOSITORY / "config/paper.yaml").read_text(encoding="utf-8")), digests)
    project.write_config(config | {"data_root": "../data", "checkpoint_root": "../checkpoints"})
    command = project.command("--cores", "all", "--resources", "gpu=1", *words, "--", "all")
    return subprocess.run(command, cwd=project.folder, check=False).returncode


def lay_out_samples(folder: Path) -> None:
    """Link samples where the configuration expects the data sets."""
    folder.mkdir()
    for name, where in ROOTS.items():
        (folder / name).symlink_to(SHARED / "samples" / where)
    for split, where in ADE20K.items():
        source = SHARED / "samples" / where / "ADEChallengeData2016"
        for kind in ("images", "annotations"):
            (folder / "ADEChallengeData2016" / kind).mkdir(parents=True, exist_ok=True)
            (folder / "ADEChallengeData2016" / kind / split).symlink_to(source / kind / split)
        for file in source.glob("*.txt"):
            (folder / "ADEChallengeData2016" / file.name).symlink_to(file)


def write_weights(model: str, folder: Path) -> str:
    """Write a file as the released one of ``model``, but small, and return its SHA-256."""
    name, variant = MANIFESTS[model]
    content = Golden(SHARED / "golden", name).shapes(variant, "full")
    path = folder / registered_model(model).entry["checkpoint"]
    torch.save(_small(content, 1024 if name == "scalemae_vitl16" else 768, torch.Generator().manual_seed(0)), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def smaller(config: dict[str, Any], digests: dict[str, str]) -> dict[str, Any]:
    """The configuration of the paper for few images and small networks."""
    for name, splits in SPLITS.items():
        config["datasets"][name]["splits"] = splits
    config["datasets"]["mot17"]["options"] = {"frames": 10}
    for name, entry in config["models"].items():
        if entry.get("source") != "pixels":
            known = registered_model(name).entry if name in MANIFESTS else {}
            entry["arguments"] = {**known.get("arguments", {}), **REDUCED}
        if name == "supervised":
            entry["sha256"] = digests[name]
        for variant in entry.get("variants", {}).values():
            if "features" in variant:
                variant["features"] = REMOVED
    return config | LESS


def _small(part: dict[str, Any], width: int, draws: torch.Generator) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in part.items():
        block = re.search(r"(?:blocks|layers|encoder_layer_)[._]?(\d+)", name)
        if isinstance(value, dict):
            made[name] = _small(value, width, draws)
        elif _of_decoder(name) or not block or int(block[1]) < REDUCED["depth"]:
            made[name] = _drawn(name, value, width, draws)
    return made


def _of_decoder(name: str) -> bool:
    return name.startswith(("decoder", "fpn", "fcn"))


def _drawn(name: str, value: torch.Tensor, width: int, draws: torch.Generator) -> torch.Tensor:
    """A tensor of the reduced size; decoders stay as they are but for the side where tokens come in."""
    if not value.dtype.is_floating_point:
        return value.clone().contiguous()
    narrow = REDUCED["embed_dim"]
    sizes = {width: narrow, 3 * width: 3 * narrow, 4 * width: 4 * narrow}
    shape = [sizes.get(size, size) for size in value.shape]
    if _of_decoder(name):
        comes_in = name.startswith(("decoder_embed.", "decoder.0."))
        shape = [
            small if comes_in and place == 1 else size
            for place, (size, small) in enumerate(zip(value.shape, shape, strict=True))
        ]
    if "relative_position_bias_table" in name:
        shape[-1] = REDUCED["num_heads"]
    scaled = re.search(r"(norm\d?|ln|ln_\d|gamma_\d|ls\d\.gamma)(\.weight)?$", name)
    return 0.05 * torch.randn(shape, generator=draws) + (1.0 if scaled else 0.0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), *sys.argv[2:]))
