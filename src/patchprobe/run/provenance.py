"""What a result was made from, as text: the config values used and a digest of the code.

Snakemake compares params by value only, ignores what it cannot represent and never looks into the library, so each
rule carries two strings made here: a result is stale exactly when one of them, or an input, has changed.

Parsing some hundred modules takes half a second of every start, so what was read of a file is remembered by the digest of
its bytes (:func:`recall`, :func:`remember`).
"""

import ast
import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from patchprobe.errors import StoreError
from patchprobe.files import file_sha256, write_atomic

PACKAGE = "patchprobe"
# What earlier runs of a folder have read of the code.
KNOWN_CODE = Path(".snakemake/patchprobe-code.json")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_MOST_REMEMBERED = 4000  # files; what is not used any more is forgotten then
# What was read of files by the SHA-256 of their bytes: from an earlier run, and in this process.
_recalled: dict[str, "_Code"] = {}
_used: dict[str, "_Code"] = {}


def canonical(values: Mapping[str, Any]) -> str:
    """Return the canonical JSON of config values: keys sorted, so that order never matters and names always do.

    Raises TypeError or ValueError for anything that JSON cannot hold (paths, NaN).
    """
    return json.dumps(values, sort_keys=True, allow_nan=False, separators=(",", ":"))


def spec_hash(spec: str) -> str:
    """Return the 12-digit hash of a canonical spec, the value of the column ``spec`` of measurements."""
    return hashlib.sha256(spec.encode()).hexdigest()[:12]


class Sources:
    """The code below ``folder``, which holds the package, as it is when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules: dict[str, _Module | None] = {}

    def digest(self, script: Path, modules: Iterable[str] = ()) -> str:
        """Return a digest of the meaning of a script and of all first-party modules that it imports, directly or not.

        ``modules`` names modules that are found by name at run time and so not by reading import statements. Comments,
        docstrings, layout, file times and the place of the checkout do not count. Nothing is imported.
        """
        code = _read(script)
        meanings = {f"script {script.name}": code.meaning}
        waiting = [*_own_imports(code, ""), *modules]
        while waiting:
            name = waiting.pop()
            module = None if name in meanings else self._module(name)
            if module:
                meanings[name] = module.meaning
                waiting += module.imports
        text = "\n".join(f"{name} {meaning}" for name, meaning in sorted(meanings.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _module(self, name: str) -> "_Module | None":
        """Return a module, None where there is none of this name: ``from a import b`` may name what is in one."""
        if name not in self._modules:
            path = self._folder.joinpath(*name.split("."))
            candidates = (path / "__init__.py", path.with_suffix(".py"))
            file = next((c for c in candidates if name and c.is_file()), None)
            self._modules[name] = _Module.of(name, file) if file else None
        return self._modules[name]


def recall(path: Path) -> None:
    """Take from a file what :func:`remember` wrote there; nothing where it is damaged or of another version of this module."""
    _recalled.clear()
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        kept = json.loads(path.read_bytes())
        if kept["reader"] == file_sha256(Path(__file__)):
            found = {sha256: _Code(*values) for sha256, values in kept["files"].items()}
            _recalled.update(found if all(map(_is_code, found.values())) else {})


def remember(path: Path) -> None:
    """Write to a file what is known of code, if there is anything new; where that cannot be written, nothing is lost."""
    if _used.keys() <= _recalled.keys():
        return
    kept = _used if len(_recalled) > _MOST_REMEMBERED else _recalled | _used
    files = {sha256: [code.meaning, code.imports] for sha256, code in kept.items()}
    with contextlib.suppress(StoreError, OSError):
        write_atomic(path, json.dumps({"reader": file_sha256(Path(__file__)), "files": files}), lasting=False)


@dataclass(frozen=True)
class _Code:
    """A digest of what a file does, and its imports: the level and module of ``from`` (0 and empty for ``import``), and names."""

    meaning: str
    imports: Sequence[tuple[int, str, Sequence[str]]]


def _is_code(code: _Code) -> bool:
    return isinstance(code.meaning, str) and all(
        isinstance(level, int) and isinstance(module, str) and all(isinstance(name, str) for name in names)
        for level, module, names in code.imports
    )


@dataclass(frozen=True)
class _Module:
    """The digest of what a module does, and the modules that come with it: its package, and what may be others of this package."""

    meaning: str
    imports: Sequence[str]

    @classmethod
    def of(cls, name: str, file: Path) -> "_Module":
        code, above = _read(file), name.rpartition(".")[0]
        return cls(code.meaning, [above, *_own_imports(code, name if file.name == "__init__.py" else above)])


def _own_imports(code: _Code, package: str) -> Sequence[str]:
    names: list[str] = []
    for level, module, imported in code.imports:
        if not (level or module):
            names += imported
        else:
            above = package.rsplit(".", level - 1)[0] if level > 1 else package
            base = f"{above}.{module}".rstrip(".") if level else module
            names += [base, *(f"{base}.{name}" for name in imported)]
    return [name for name in names if name.split(".")[0] == PACKAGE]


def _read(path: Path) -> _Code:
    return _parsed(path, path.stat().st_mtime_ns)


@cache
def _parsed(path: Path, _modified: int) -> _Code:
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    _used[sha256] = code = _recalled.get(sha256) or _parse(content.decode())
    return code


def _parse(text: str) -> _Code:
    tree = ast.parse(text)
    imports = [
        (node.level, node.module or "", [alias.name for alias in node.names])
        if isinstance(node, ast.ImportFrom)
        else (0, "", [alias.name for alias in node.names])
        for node in _running_imports(tree)
    ]
    parts: list[str] = []
    _write_plain(tree, parts.append)
    return _Code(hashlib.sha256("".join(parts).encode()).hexdigest(), imports)


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


def _write_plain(node: object, write: Callable[[str], object]) -> None:
    """Write a syntax tree as text, without docstrings; unlike ``ast.dump`` the same in every Python minor version, since empty
    fields (the ones that new versions add) are left out."""
    if isinstance(node, ast.AST):
        write(f"{type(node).__name__}(")
        mark = ""
        documented = isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False)
        for name in node._fields:
            value: Any = getattr(node, name, None)
            if documented and name == "body":
                value = value[1:]
            if value is not None and value != []:
                write(f"{mark}{name}=")
                _write_plain(value, write)
                mark = ","
        write(")")
    elif isinstance(node, list):
        write("[")
        for place, item in enumerate(node):
            write("," if place else "")
            _write_plain(item, write)
        write("]")
    else:
        write(repr(node))
