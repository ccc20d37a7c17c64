"""The demo with every kind of job and little work: one model with a variant, and one corruption of few tiles."""

from pathlib import Path
from typing import Any

import yaml

LESS = {
    "patch_classification": {
        "linear": {"steps": 20, "learning_rates": [0.01], "weight_decays": [0.0]},
        "bootstrap": {"resamples": 100},
    },
    "removal_sweep": {"features": [0, 50], "steps": 10},
    "removal_curves": {"counts": [10], "images": 4, "steps": 10, "models": ["demo-mae"]},
    "token_contents": {"removals": [], "tiles": 8},
    "token_diagnostics": {"tiles": 8, "top_features": [1, 10], "pictures": 1},
    "overclustering": {"clusters": ["classes"], "removals": [], "seeds": 1, "restarts": 1, "points_per_cluster": 16},
    "training_size": {"per_group": [1], "steps": 10},
    "removal_stability": {"removals": ["drop-top-variance"], "features": 50},
    "explorer": {"images": 1, "removed": [0, 50]},
    "tracking": {"frames": [1], "seconds": [0.2], "sizes": [8, 24]},
    "image_knn": {"k": 3, "relative_sizes": [0.5, 1.0], "steps": 10},
    "full_images": {"models": ["demo-mae"]},
    "reconstruction": {"features": 50, "sweep": [50], "tiles": 8},
    "report": {"models": ["demo-mae"], "images": 1},
}


def small_demo(repository: Path) -> dict[str, Any]:
    config = yaml.safe_load((repository / "config/config.yaml").read_text()) | LESS
    config["models"] = {"demo-mae": {"variants": {"drop-50": config["models"]["demo-mae"]["variants"]["drop-50"]}}}
    config["corruptions"] = {"noise": {"levels": [50]}, "rotate": {"levels": [5]}}
    sets = config["datasets"]
    sets["streets"]["generate"]["options"] = {
        "train": {"cities": 2, "images_per_city": 1},
        "val": {"cities": 1, "images_per_city": 3},
    }
    sets["streets"]["splits"]["train"] = {"source": "train"}
    sets["aerial"]["generate"]["options"] = {"train": {"images": 2}, "validation": {"images": 1}}
    sets["aerial"]["corruptions"] = ["rotate"]
    sets["videos"]["generate"]["options"] = {"videos": 2, "frames": 4}
    sets["landuse"]["generate"]["options"] = {"classes": 3, "images_per_class": 5}
    sets["landuse"]["splits"]["evaluation"] = {"source": "all", "per_class": 2}
    return config
