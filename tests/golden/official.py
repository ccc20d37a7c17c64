"""What the tests against outputs of official code share: a family of models, its weights by rule, its outputs and mistakes.

A family is one module in ``families``, named after its golden folder, whose ``FAMILY`` is a :class:`Family`; the tests find
it there. The golden folders lie in one of two roots, each with its own ``fill.py`` (fixture ``official``).
"""

import contextlib
import ctypes
import fcntl
import gc
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

from patchprobe.models.backbone import load_model

REDUCED = {"embed_dim": 48, "depth": 3, "num_heads": 3}


class Golden:
    """The golden folder of a model: its spec, its inputs, files filled by rule, and the outputs of its official code."""

    def __init__(self, root: Path, folder: str) -> None:
        found = importlib.util.spec_from_file_location(f"fill_{root.name}", root / "fill.py")
        self._fill = importlib.util.module_from_spec(found)
        found.loader.exec_module(self._fill)
        self.spec = self._fill.load_spec(folder)
        self._outputs = root / folder / "cases.npz"
        # the first set of folders has the last features of the last tokens in its digests, the second one the first
        self.last_features = root.name == "golden"

    def images(self, case: str) -> torch.Tensor:
        return torch.from_numpy(self._fill.image(self.spec["cases"][case]))

    def content(self, variant: str = "primary", size: str = "reduced") -> dict[str, Any]:
        """The released file as ``torch.load`` gives it, nested and named as there."""
        return _tensors(self._fill.checkpoint(self.spec, variant, size))

    def shapes(self, variant: str, size: str) -> dict[str, Any]:
        """The released file with one zero for each tensor, seen as if it were as large: names and shapes, but no memory."""
        result: dict[str, Any] = {}
        for part in self.spec["files"][variant]["parts"]:
            inner = result
            for name in part["path"]:
                inner = inner.setdefault(name, {})
            for name, facts in self.spec["manifests"][part[size]].items():
                inner[name] = torch.zeros((), dtype=getattr(torch, facts["dtype"])).expand(facts["shape"])
        return result

    def tensor(self, name: str, manifest: str) -> torch.Tensor:
        return torch.from_numpy(self._fill.tensor(name, self.spec["manifests"][manifest][name]))

    def expected(self, case: str) -> dict[str, np.ndarray]:
        with np.load(self._outputs) as stored:
            return {name.removeprefix(f"{case}/"): stored[name] for name in stored if name.startswith(f"{case}/")}

    def tolerance(self, case: str) -> float:
        full = self.spec["cases"][case].get("size") == "full"
        return self.spec["tolerance"]["suggested_atol_full" if full else "suggested_atol"]


@dataclass(frozen=True)
class Run:
    """One forward pass: what a family's own outputs are computed from. ``load`` loads the same file with other keys."""

    backbone: Any
    images: torch.Tensor
    tokens: Any
    load: Callable[..., Any]
    last_features: bool = True


@dataclass(frozen=True)
class Variant:
    """Another file of the same weights, the case that it is compared with, and what the provenance says is left out."""

    file: str
    case: str
    left_out: list[str] | None = None
    entry: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mistake:
    """A wrong way to the tokens of ``case``: other keys of the entry, a changed file, or a module changed once loaded."""

    case: str = "native"
    entry: Mapping[str, Any] = field(default_factory=dict)
    file: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    module: Callable[[nn.Module], None] | None = None


@dataclass(frozen=True)
class Family:
    """How a family is loaded and what of its golden folder is compared.

    ``entry`` are the keys of ``models.<name>``, ``reduced`` the arguments of the reduced size beside those of the entry,
    ``size`` features and blocks at full size. ``cases`` are the reduced and ``digests`` the full-size ones of the file
    ``primary``, ``of_case`` keys of the entry for single ones; ``variants`` and ``elsewhere`` (cases or files, with the reason) are all others. ``outputs`` computes outputs
    that only this family has, and ``not_given`` names those that are not ours, with the reason. ``mistakes`` have to fail.
    """

    folder: str
    entry: Mapping[str, Any]
    cases: tuple[str, ...]
    digests: tuple[str, ...] = ("full_digest",)
    size: tuple[int, int] = (768, 12)
    reduced: Mapping[str, Any] = field(default_factory=lambda: REDUCED)
    variants: tuple[Variant, ...] = ()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, Callable[[Run], Any]] = field(default_factory=dict)
    not_given: Mapping[str, str] = field(default_factory=dict)
    mistakes: Mapping[str, Mistake] = field(default_factory=dict)
    file: str = "file.pth"
    of_case: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def load(self, path: Path, size: Any, *, norm: str = "final", full: bool = False, **more: Any) -> Any:
        """Load a file through the public loader; ``more`` are keys of the entry, ``arguments`` among them are added."""
        entry = {"source": "timm", "checkpoint": path.name, **self.entry, **more}
        arguments = {**self.entry.get("arguments", {}), **({} if full else self.reduced), **more.get("arguments", {})}
        if arguments:
            entry["arguments"] = arguments
        return load_model(self.folder, entry, checkpoint_root=path.parent, input_size=size, device="cpu", norm=norm)


def families() -> dict[str, Family]:
    """All families, by golden folder."""
    folder = Path(__file__).with_name("families")
    names = sorted(module.name for module in pkgutil.iter_modules([str(folder)]))
    found = {name: importlib.import_module(f"families.{name}").FAMILY for name in names}
    assert all(name == family.folder for name, family in found.items())
    return found


def write(content: Mapping[str, Any], path: Path) -> None:
    """Write a file as its authors do, by its ending."""
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(dict(content), path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in content.items()})
    else:
        torch.save(content, path)


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Keep tests of all processes that share ``folder`` from having a full-size model each."""
    with (folder / "full-size.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            release_memory()


def release_memory() -> None:
    """Give back the memory of models that are gone, which glibc keeps for the next ones: 3 GB after a ViT-H."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def run(family: Family, golden: Golden, case: str, path: Path, **more: Any) -> Run:
    """One forward pass of a case."""
    images = golden.images(case)

    def load(**keys: Any) -> Any:
        full = golden.spec["cases"][case].get("size") == "full"
        return family.load(path, list(images.shape[2:]), full=full, **{**family.of_case.get(case, {}), **more, **keys})

    backbone = load()
    assert backbone.input_size == tuple(images.shape[2:])
    return Run(backbone, images, tokens_of(backbone, images), load, golden.last_features)


def tokens_of(backbone: Any, images: torch.Tensor) -> Any:
    with torch.inference_mode():
        return backbone.tokens(images, range(1, backbone.blocks + 1))


def check(family: Family, golden: Golden, compare: Any, case: str, path: Path, label: str = "", **more: Any) -> Any:
    """Compare every stored output of a case; returns the backbone."""
    done = run(family, golden, case, path, **more)
    expected = golden.expected(case)
    assert expected.keys() - family.not_given.keys() - {"logits"}
    for name, value in expected.items():
        if name == "logits" or name in family.not_given:
            continue
        ours = family.outputs[name](done) if name in family.outputs else output(name, done)
        if name == "pos_embed_used":
            # the embedding of prefix tokens is part of the token where timm adds none to them
            value = value[:, -ours.shape[1] :]
            assert done.backbone.provenance["position_embedding"]["applied"]
        compare(family.folder, case + label, name, ours, value, golden.tolerance(case))
    return done.backbone


def difference(family: Family, golden: Golden, mistake: Mistake, path: Path) -> float:
    """The largest difference of patch tokens with a mistake, or infinity if the tokens have another shape."""
    done = run(family, golden, mistake.case, path, **mistake.entry)
    tokens = done.tokens
    if mistake.module:
        mistake.module(done.backbone.module)
        tokens = tokens_of(done.backbone, done.images)
    wrong = replace(done, tokens=tokens)
    largest = 0.0
    for name, value in golden.expected(mistake.case).items():
        if name.startswith(("patch", "cls", "reg")) and name not in {*family.not_given, *family.outputs}:
            ours = np.asarray(output(name, wrong))
            largest = max(largest, float(np.abs(ours - value).max()) if ours.shape == value.shape else np.inf)
    return largest


_PART = re.compile(r"(patch|cls|reg|cls_tokens)(?:_(first|last)(\d*))?(?:_dim(\d+))?")


def output(name: str, done: Run) -> Any:
    """An output of the golden format by its name, such as ``patch_last8_dim32``, or None where the model has no such token."""
    tokens, backbone = done.tokens, done.backbone
    if name == "pos_embed_used":
        embedding = backbone.module.pos_embed
        patches = backbone.grid[0] * backbone.grid[1]
        return embedding.reshape(1, -1, embedding.shape[-1])[:, -patches:].numpy()
    if name in ("patch_mean", "patch_std"):
        patch = tokens.patch.numpy()
        ddof = {} if name == "patch_mean" else {"ddof": 1}
        return getattr(patch, name.removeprefix("patch_"))(axis=(2, 3), dtype=np.float64, **ddof)
    kind, end, count, features = _PART.fullmatch(name).groups()
    if kind == "cls_tokens":
        parts = [tokens.cls[:, :, None]] if tokens.cls is not None else []
        sequence = torch.cat([*parts, *([tokens.registers] if tokens.registers is not None else [])], dim=2)
    else:
        sequence = {"patch": tokens.patch, "cls": tokens.cls, "reg": tokens.registers}[kind]
    if sequence is None:
        return None
    if end and count:
        sequence = sequence[:, :, : int(count)] if end == "first" else sequence[:, :, -int(count) :]
    elif end:
        sequence = sequence[-1]
    if features:
        from_end = end == "last" and done.last_features
        sequence = sequence[..., -int(features) :] if from_end else sequence[..., : int(features)]
    return sequence.numpy()


def wrong_eps(eps: float) -> Callable[[nn.Module], None]:
    """Another epsilon in every LayerNorm."""

    def change(module: nn.Module) -> None:
        for part in module.modules():
            if isinstance(part, nn.LayerNorm):
                part.eps = eps

    return change


def tanh_gelu(module: nn.Module) -> None:
    """The approximation of GELU by tanh."""
    found = [part for part in module.modules() if isinstance(getattr(part, "act", None), nn.GELU)]
    assert found
    for part in found:
        part.act = nn.GELU(approximate="tanh")


def no_final_norm(module: nn.Module) -> None:
    """Tokens as the blocks give them."""
    assert not isinstance(module.norm, nn.Identity)
    module.norm = nn.Identity()


def other_final_norm(module: nn.Module) -> None:
    """A norm where the official code has none."""
    assert isinstance(module.norm, nn.Identity)
    module.norm = nn.LayerNorm(module.embed_dim, eps=1e-6)


def class_token_at_zero(module: nn.Module) -> None:
    """A class token that did not arrive."""
    with torch.no_grad():
        module.cls_token.zero_()


def registers_at_zero(module: nn.Module) -> None:
    """Registers, or further class tokens, that did not arrive."""
    with torch.no_grad():
        module.reg_token.zero_()


COMMON = {
    "eps": Mistake("lowvar", module=wrong_eps(1e-5)),
    "gelu": Mistake("lowvar", module=tanh_gelu),
    "no final norm": Mistake("lowvar", module=no_final_norm),
    "no class token": Mistake("lowvar", module=class_token_at_zero),
}


def _tensors(part: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _tensors(value) if isinstance(value, dict) else torch.from_numpy(value) for key, value in part.items()}
