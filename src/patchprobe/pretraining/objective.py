"""What a pretraining objective is, and how one is found by its name.

An objective's name in the config names its module: objective ``mae`` is ``pretraining/objectives/mae.py``, whose ``OBJECTIVE``
is a subclass of :class:`Objective`. There is no list to edit: a new objective is one new file.
"""

import dataclasses
import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from patchprobe.errors import ConfigError, suggestion
from patchprobe.pretraining import objectives
from patchprobe.pretraining.network import Network


@dataclass(frozen=True)
class Views:
    """What an objective sees of an image: crops of the network's input size, and local ones of half of it.

    ``jitter`` adds changes of brightness, contrast and saturation to the crops and flips that all objectives share.
    ``presence`` asks which classes the first crop shows, which needs images with classes.
    """

    full: int = 1
    local: int = 0
    jitter: bool = False
    presence: bool = False


@dataclass(frozen=True)
class Batch:
    """Views of B images, normalised, on the training device.

    ``full`` holds (B, 3, S, S) tensors, ``local`` (B, 3, S / 2, S / 2) ones; ``presence`` is (B, classes) of 0 and 1,
    or None where the objective does not ask for it.
    """

    full: list[torch.Tensor]
    local: list[torch.Tensor]
    presence: torch.Tensor | None


class Objective(nn.Module, ABC):
    """A network in training, with all that the objective adds to it: heads, decoder, teacher, centres.

    ``options_type`` is the dataclass of its options. ``state_dict`` holds everything that has to survive a resume. Random numbers are drawn from torch's and Python's
    global generators, which the training loop seeds anew before each step. ``recordable`` says that its loss is the same
    kernels in every step, none waits for a number of the GPU, and nothing but gradients is kept from it, so that a GPU can
    replay it.
    """

    views: ClassVar[Views]
    options_type: ClassVar[type]
    recordable: ClassVar[bool] = False

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    @abstractmethod
    def loss(self, batch: Batch) -> torch.Tensor:
        """Return the loss of a batch, a float32 scalar."""

    def before_step(self, step: int, steps: int) -> None:
        """Change gradients before the optimiser takes step ``step`` (from 0) of ``steps``."""

    def after_step(self, step: int, steps: int) -> None:
        """Follow the optimiser's step ``step`` (from 0) of ``steps``, as a momentum teacher does."""

    def encoder(self) -> Network:
        """Return the network whose weights are the result."""
        return self.network

    def decoder(self) -> dict[str, torch.Tensor]:
        """Return the weights that turn tokens into pixels, by their official names; empty if there are none.

        The module of an objective that has some says so, ``HAS_DECODER = True``: one more file comes of its training then.
        """
        return {}


def open_objective(name: str) -> type[Objective]:
    """Return the objective ``pretraining.objectives.<name>``; raises ConfigError for an unknown one."""
    try:
        module = importlib.import_module(f"{objectives.__name__}.{name.replace('-', '_')}")
        objective: type[Objective] = module.OBJECTIVE
    except (ModuleNotFoundError, AttributeError) as error:
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith(objectives.__name__):
            raise
        raise ConfigError(
            f"pretraining.objectives.{name}: there is no such objective (a module of patchprobe.pretraining.objectives with "
            "OBJECTIVE); take supervised, dino, ibot, mae or simmim, or add it"
        ) from None
    return objective


def build_objective(name: str, network: Network, classes: int, options: Mapping[str, Any]) -> Objective:
    """Return an objective around a network, freshly initialised.

    ``classes`` is the number of classes of the images, ``options`` its own keys of the config. Raises ConfigError for
    an unknown objective or option, and for one that needs classes where the images have none.
    """
    kind = open_objective(name)
    if kind.views.presence and not classes:
        raise ConfigError(
            f"pretraining.objectives.{name}: it learns from classes and the images have none; sort the images of "
            "pretraining.images.folder into one sub-folder per class, or leave this objective out"
        )
    check_options(name, options)
    built: Objective = kind(network, classes, kind.options_type(**options))  # type: ignore[call-arg]
    return built


def check_options(name: str, options: Iterable[str]) -> None:
    """Raise ConfigError if there is no objective ``name``, or it has no option of one of these names."""
    known = [field.name for field in dataclasses.fields(open_objective(name).options_type)]
    for option in options:
        if option not in known:
            hint = suggestion(option, known, f"allowed are {', '.join(known)}" if known else "it has no options")
            raise ConfigError(f"unknown key pretraining.objectives.{name}.options.{option}: {hint}")
