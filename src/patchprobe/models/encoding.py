"""Networks that timm does not have: ``architecture`` names a module of ``patchprobe/models/encoders``, and there is no list to edit.

The module ``encoders/<architecture>.py`` has a function of that name, which builds the network, and registers it with
timm (:mod:`patchprobe.models.own_vit`) when it is imported. From then on it is built, described and checked as any
other architecture. Nothing here imports torch, because the workflow asks on every parse which modules a model needs.
"""

import importlib
from pathlib import Path

FOLDER = Path(__file__).with_name("encoders")


def own_encoders() -> list[str]:
    """Return the names of all architectures that are not timm's, sorted."""
    return sorted(file.stem for file in FOLDER.glob("[!_]*.py"))


def encoder_module(architecture: str) -> str | None:
    """Return the module of an architecture that is not timm's, or None for all others."""
    return f"{__package__}.encoders.{architecture}" if architecture in own_encoders() else None


def make_known(architecture: str) -> None:
    """Let timm know an architecture that it does not have; nothing happens for all others."""
    if module := encoder_module(architecture):
        importlib.import_module(module)
