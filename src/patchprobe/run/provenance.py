"""What a result was made from, as text: the config values used and a digest of the code.

Snakemake compares params by value only, ignores what it cannot represent and never looks into the library, so each
rule carries two strings made here: a result is stale exactly when one of them, or an input, has changed.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = "patchprobe"


def canonical(values: Mapping[str, Any]) -> str:
    """Return the canonical JSON of config values: keys sorted, so that order never matters and names always do.

    Raises TypeError or ValueError for anything that JSON cannot hold (paths, NaN).
    """
    return json.dumps(values, sort_keys=True, allow_nan=False, separators=(",", ":"))


def spec_hash(spec: str) -> str:
    """Return the 12-digit hash of a canonical spec, the value of the column ``spec`` of measurements."""
    return hashlib.sha256(spec.encode()).hexdigest()[:12]


def code_digest(script: Path, source: Path, modules: Iterable[str] = ()) -> str:
    """Return a digest of the meaning of a script and of all first-party modules that it imports, directly or not.

    ``source`` is the folder that holds the package; ``modules`` names modules that are found by name at run time
    and so not by reading import statements. Comments, docstrings, layout, file times and the place of the checkout
    do not count. Nothing is imported.
    """
    files = {f"script {script.name}": script} | _closure([*_imports(script, ""), *modules], source)
    parts = [f"{name} {_read(path).meaning}" for name, path in sorted(files.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Code:
    """A digest of what a file does, and its import statements."""

    meaning: str
    imports: Sequence[ast.Import | ast.ImportFrom]


def _closure(names: Iterable[str], source: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        path = None if name in found else _module_file(name, source)
        if path is None:
            continue
        found[name] = path
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        waiting += [name.rpartition(".")[0], *_imports(path, package)]
    return found


@cache
def _module_file(name: str, source: Path) -> Path | None:
    path = source.joinpath(*name.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((c for c in candidates if name and c.is_file()), None)


def _imports(path: Path, package: str) -> list[str]:
    names: list[str] = []
    for node in _read(path).imports:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        else:
            above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            base = f"{above}.{node.module or ''}".rstrip(".") if node.level else node.module or ""
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] == PACKAGE]


def _read(path: Path) -> _Code:
    return _parsed(path, path.stat().st_mtime_ns)


@cache
def _parsed(path: Path, _modified: int) -> _Code:
    tree = ast.parse(path.read_text())
    imports = list(_running_imports(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return _Code(hashlib.sha256(_plain(tree).encode()).hexdigest(), imports)


def _running_imports(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the import statements, without those under ``if TYPE_CHECKING``, which never run."""
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                waiting += getattr(node, block, [])


def _plain(node: object) -> str:
    """Write a syntax tree as text; unlike ``ast.dump`` the same in every Python minor version, since empty fields
    (the ones that new versions add) are left out."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
        return f"{type(node).__name__}({','.join(f'{name}={_plain(value)}' for name, value in fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(_plain, node))}]"
    return repr(node)
