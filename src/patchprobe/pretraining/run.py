"""One training run from its spec to its files."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchprobe.pretraining.card import write_card, write_losses, write_weights
from patchprobe.pretraining.crops import CropOptions, CropSampler
from patchprobe.pretraining.hardware import describe_hardware
from patchprobe.pretraining.images import Images
from patchprobe.pretraining.network import Network, parameter_count
from patchprobe.pretraining.objective import build_objective
from patchprobe.pretraining.snapshots import open_snapshots
from patchprobe.pretraining.training import Plan, choose_precision, seed_weights, train


@dataclass(frozen=True)
class Outputs:
    """The files of a run; ``decoder`` is None for an objective without one."""

    encoder: Path
    decoder: Path | None
    losses: Path
    card: Path


def pretrain(
    spec: Mapping[str, Any],
    images: Images,
    outputs: Outputs,
    *,
    identity: str,
    snapshots: Path,
    device: str,
) -> None:
    """Train the objective ``spec["objective"]`` and write its files, the card last.

    ``spec`` holds ``objective``, ``seed``, ``architecture``, ``training`` (its entry of ``pretraining.objectives``),
    ``crop``, ``region``, ``precision``, ``threads``, ``warmup``, ``save_every`` and ``images`` (for the card); ``identity``
    is the spec and the code as text, ``snapshots`` the hidden folder. Raises ConfigError, ModelError or StoreError.
    """
    name, training, architecture = spec["objective"], spec["training"], spec["architecture"]
    seed_weights(spec["seed"])
    network = Network(architecture["name"], architecture["arguments"], architecture["input_size"])
    objective = build_objective(name, network, len(images.class_names), training["options"])
    options = CropOptions(training["batch_size"], architecture["input_size"], tuple(spec["crop"]), spec["region"])
    sampler = CropSampler(images, objective.views, options, seed=spec["seed"], device=device)
    plan = Plan(
        training["steps"], training["learning_rate"], training["weight_decay"], spec["warmup"], spec["save_every"]
    )
    precision = choose_precision(spec["precision"], device)
    hardware = describe_hardware(device, spec["threads"])
    # What the bits of the weights depend on; another one starts from the beginning.
    parts = (identity, images.sha256, precision, repr(hardware))
    with open_snapshots(snapshots, name, *parts) as saved:
        course = train(
            objective,
            sampler,
            plan,
            saved,
            name=name,
            seed=spec["seed"],
            device=device,
            precision=precision,
            threads=spec["threads"],
        )
        write_weights(outputs.encoder, objective.encoder().vit.state_dict())
        weights = {outputs.encoder.name: outputs.encoder}
        if outputs.decoder:
            write_weights(outputs.decoder, objective.decoder())
            weights[outputs.decoder.name] = outputs.decoder
        write_losses(outputs.losses, course, options.batch_size)
        facts = {
            "objective": name,
            "network": {
                **architecture,
                "parameters": parameter_count(network.vit),
                "mean": network.mean,
                "std": network.std,
            },
            "images": {
                **spec["images"],
                "count": len(images.images),
                "size": list(images.images.shape[1:3]),
                "classes": list(images.class_names),
                "sha256": images.sha256,
            },
            "training": {
                **training,
                "options": dataclasses.asdict(objective.options_type(**training["options"])),
                "views": dataclasses.asdict(objective.views),
                "crop": spec["crop"],
                "region": spec["region"],
                "warmup": spec["warmup"],
                "precision": precision,
                "seed": spec["seed"],
                "images_seen": plan.steps * options.batch_size,
                "epochs": round(plan.steps * options.batch_size / len(images.images), 1),
            },
            "hardware": hardware,
        }
        write_card(outputs.card, facts, course, weights)
