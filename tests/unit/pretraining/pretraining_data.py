"""A small network's settings and a way to train with them, shared by the tests of pretraining."""

from patchprobe.pretraining.crops import CropOptions, CropSampler
from patchprobe.pretraining.network import Network
from patchprobe.pretraining.objective import build_objective
from patchprobe.pretraining.snapshots import open_snapshots
from patchprobe.pretraining.training import Plan, seed_weights, train

SMALL = {"name": "vit_tiny_patch16_224", "arguments": {"patch_size": 4, "embed_dim": 32, "num_heads": 2, "depth": 2}}
SIDE = 32
OBJECTIVES = ("supervised", "dino", "ibot", "mae", "simmim")
DISTILLED = {"outputs": 16, "hidden": 32, "bottleneck": 16}
OPTIONS = {
    "dino": DISTILLED,
    "ibot": DISTILLED,
    "mae": {"decoder_features": 32, "decoder_blocks": 1, "decoder_heads": 2},
}


def build(name, classes=2):
    seed_weights(0)
    network = Network(SMALL["name"], SMALL["arguments"], SIDE)
    return build_objective(name, network, classes, OPTIONS.get(name, {}))


def sampler(images, objective, batch_size=8):
    return CropSampler(images, objective.views, CropOptions(batch_size, SIDE, (0.5, 0.9)), seed=0)


def run(name, images, folder, *, steps, save_every=1000, batch_size=8, objective=None):
    """Train a small network; returns the objective and its course."""
    objective = objective or build(name)
    plan = Plan(steps, learning_rate=1e-3, weight_decay=0.05, warmup=0.1, save_every=save_every)
    crops = sampler(images, objective, batch_size)
    with open_snapshots(folder, name, "spec") as snapshots:
        course = train(objective, crops, plan, snapshots, name=name, seed=0, device="cpu", precision="fp32", threads=1)
    return objective, course
