"""The training loop, the same for every objective: AdamW, warm-up and cosine decay, snapshots.

All randomness of a step follows from the seed and the step, so nothing but weights, optimiser and the objective's own
state has to be saved for a resumed run to end with the weights of an undisturbed one.
"""

import contextlib
import math
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightly.utils.scheduler import cosine_warmup_schedule

from patchprobe.errors import ModelError
from patchprobe.pretraining.crops import CropSampler, to_batch
from patchprobe.pretraining.gradients import Gradients
from patchprobe.pretraining.hardware import has_bf16
from patchprobe.pretraining.objective import Objective
from patchprobe.pretraining.snapshots import Snapshots
from patchprobe.progress import Progress
from patchprobe.seeds import generator

Precision = Literal["fp32", "bf16"]

_BETAS = (0.9, 0.95)
# Above this norm gradients are scaled down, as in DINO's code.
_CLIP = 3.0
_LEAST_LEARNING_RATE = 1e-6


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train; ``warmup`` is a share of ``steps``, ``save_every`` counts steps."""

    steps: int
    learning_rate: float
    weight_decay: float
    warmup: float
    save_every: int


@dataclass(frozen=True)
class Course:
    """What a run was like: the loss of each step and the learning rate, and the seconds of all its parts together."""

    losses: list[float]
    learning_rates: list[float]
    seconds: float


def choose_precision(requested: Literal["auto", "fp32", "bf16"], device: str) -> Precision:
    """Return the precision to train in; ``auto`` is bf16 where the device has instructions for it."""
    if requested == "auto":
        return "bf16" if has_bf16(device) else "fp32"
    return requested


def train(
    objective: Objective,
    sampler: CropSampler,
    plan: Plan,
    snapshots: Snapshots,
    *,
    name: str,
    seed: int,
    device: str,
    precision: Precision,
    threads: int,
) -> Course:
    """Train an objective in place, from its last snapshot on if there is one.

    Saves a snapshot every ``plan.save_every`` steps and at the end. Raises ModelError if the loss is not finite.
    """
    objective.to(device).train()
    groups = _groups(objective, plan.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=plan.learning_rate, betas=_BETAS, fused=device.startswith("cuda"))
    losses: list[float] = []
    seconds = 0.0
    if state := snapshots.load(device):
        objective.load_state_dict(state["objective"])
        optimizer.load_state_dict(state["optimizer"])
        losses, seconds = state["losses"], state["seconds"]
    first, began = len(losses), time.monotonic()
    rates = [_learning_rate(plan, step) for step in range(plan.steps)]
    network = objective.network
    if first:
        print(f"resuming: {first} of {plan.steps} steps are done", file=sys.stderr)
    bar = Progress(total=plan.steps, initial=first, desc=name, unit="step", file=sys.stderr)
    gradients = Gradients(objective, torch.bfloat16 if precision == "bf16" else None, device)
    with _deterministic(threads), bar as progress:
        # Before other threads make batches: what they ask of the GPU would disturb the recording.
        gradients.record(lambda: to_batch(sampler.crops(first), objective.views, network.mean, network.std, device))
        for step, crops in enumerate(sampler.batches(first, plan.steps), start=first):
            _seed_step(seed, name, step)
            losses.append(gradients(to_batch(crops, objective.views, network.mean, network.std, device)).item())
            if not math.isfinite(losses[-1]):
                raise ModelError(
                    f"pretraining.objectives.{name}: the loss is {losses[-1]} at step {step + 1}; set a smaller "
                    "learning_rate"
                )
            for group in optimizer.param_groups:
                group["lr"] = rates[step]
            torch.nn.utils.clip_grad_norm_(objective.parameters(), _CLIP)
            objective.before_step(step, plan.steps)
            optimizer.step()
            objective.after_step(step, plan.steps)
            progress.set_postfix_str(f"loss {losses[-1]:.3f}", refresh=False)
            progress.update()
            if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
                spent = seconds + time.monotonic() - began
                snapshots.save(_state(objective, optimizer, losses, spent))
    return Course(losses, rates, seconds + time.monotonic() - began)


def seed_weights(seed: int) -> None:
    """Seed torch; networks that are built next start from equal weights, whatever objective they are for."""
    torch.manual_seed(int(generator(seed, "pretraining weights").integers(2**63)))


def _state(
    objective: Objective, optimizer: torch.optim.Optimizer, losses: list[float], seconds: float
) -> dict[str, Any]:
    return {
        "objective": objective.state_dict(),
        "optimizer": optimizer.state_dict(),
        "losses": losses,
        "seconds": seconds,
    }


def _learning_rate(plan: Plan, step: int) -> float:
    warmup = round(plan.warmup * plan.steps)
    return cosine_warmup_schedule(step, plan.steps, plan.learning_rate, _LEAST_LEARNING_RATE, warmup, 0.0)


def _groups(objective: Objective, weight_decay: float) -> list[dict[str, Any]]:
    """Return the weights that are learnt: matrices with weight decay; biases, norms, tokens and positions without."""
    learnt = [(name, weight) for name, weight in objective.named_parameters() if weight.requires_grad]

    def decays(name: str, weight: torch.Tensor) -> bool:
        return weight.ndim > 1 and not name.endswith(("_token", "pos_embed"))

    return [
        {"params": [w for n, w in learnt if decays(n, w)], "weight_decay": weight_decay},
        {"params": [w for n, w in learnt if not decays(n, w)], "weight_decay": 0.0},
    ]


def _seed_step(seed: int, name: str, step: int) -> None:
    number = int(generator(seed, "pretraining step", name, step).integers(2**63))
    torch.manual_seed(number)
    random.seed(number)


@contextlib.contextmanager
def _deterministic(threads: int) -> Iterator[None]:
    """Ask torch for algorithms with reproducible results, and for ``threads`` threads on a processor."""
    # Read by cuBLAS when it starts, so that its sums have one order.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        memory.fill_uninitialized_memory = filled
