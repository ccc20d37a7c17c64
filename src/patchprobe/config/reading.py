"""Configuration files read as they are meant: no key twice, no number taken for text, no name taken for a number.

Snakemake reads YAML 1.1, in which the last of two equal keys counts, ``1e-3`` is text, ``010`` is 8, and the name ``no`` is
false. Here numbers with an exponent are numbers, as in YAML 1.2 (section 10.2.1.4), and the rest is refused with its line.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from patchprobe.errors import ConfigError, printable

# More parts than this after aliases are followed are no configuration: nine short lines can stand for billions.
_MOST = 200_000
_DEEPEST = 100
_WORDS = {"true": True, "false": False, "null": None}
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT, _FLOAT, _STR = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "str"))
_MERGE = "tag:yaml.org,2002:merge"
_OTHER_BASES = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")


class _Loader(_BASE):
    """Plain values only, as in PyYAML's safe loader, and numbers of YAML 1.2."""


_Loader.add_implicit_resolver(_FLOAT, re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789"))


def read_file(path: Path) -> dict[str, Any]:
    """Read a configuration file, YAML or JSON. Raises ConfigError as :func:`read_text`, and if it cannot be opened."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration {path}: correct the name") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration {path} cannot be read ({error}): restore it as text in UTF-8") from None
    content = read_text(text, str(path))
    if not isinstance(content, dict):
        raise ConfigError(f"the configuration {path} has no keys at its top level: write `seed: 0` and the like")
    return content


def read_text(text: str, name: str) -> Any:
    """Return the content of a YAML text called ``name`` in messages.

    Raises ConfigError with name and line for a text that is no YAML, a key that is given twice, a key that is no text, a
    number that YAML 1.1 reads to another base, and for aliases that stand for more than a configuration can be.
    """
    _refuse_depth(text, name)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_bombs(node, name)
        for problem in _problems(node, set()):
            raise ConfigError(f"{name}, {problem}")
        try:
            return loader.construct_document(node)
        except (ValueError, KeyError, AttributeError, IndexError, TypeError, OverflowError) as error:
            raise ConfigError(
                f"{name} holds a value that is not of its type ({printable(str(error))}): put it in quotes"
            ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or " ".join(str(error).split())
        context = getattr(error, "context", None)
        raise ConfigError(
            f"{where}: this is not YAML ({printable(f'{context}: {problem}' if context else str(problem))}): correct the line"
        ) from None
    except RecursionError:
        raise ConfigError(f"{name}: its keys lie too deep in each other to be a configuration; write it flat") from None
    finally:
        loader.dispose()


def from_command_line(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values given as ``--config key=value``, with true, false and null as a file would hold them.

    Of nested ones Snakemake passes all on as text. Raises ConfigError naming a nested text that a file would hold as a number, true, false or null.
    """
    for key, value in values.items():
        if isinstance(value, dict | list):
            for place, text in _texts(value, key):
                tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False))
                if tag != _STR or _is_number(text):
                    raise ConfigError(
                        f"key {place}: --config passes {text!r} on as text inside braces and brackets: give it in a file, "
                        "with --configfile"
                    )
    return {key: _WORDS.get(value, value) if isinstance(value, str) else value for key, value in values.items()}


def whole_numbers(value: Any) -> Any:
    """Return a value with whole floats in it as integers, so that 10, 10.0 and 1e1 are the same everywhere."""
    if isinstance(value, dict):
        return {key: whole_numbers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [whole_numbers(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(part, f"{place}.{name}")


def _problems(node: yaml.Node, seen: set[int]) -> Iterator[str]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        if node.tag in (_INT, _FLOAT) and _OTHER_BASES.fullmatch(node.value):
            value = _Loader("").construct_object(node)
            yield f"line {_line(node)}: {node.value} is read as {value}: write that, or put it in quotes if it is text"
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _problems(part, seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                yield f"line {_line(key)}: a key has to be a text"
                continue
            if key.tag not in (_STR, _MERGE):
                kind = key.tag.rpartition(":")[2]
                yield f"line {_line(key)}: the name {key.value} is read as {kind}, not as text: put it in quotes, '{key.value}'"
            if key.value in lines:
                yield (
                    f"lines {lines[key.value]} and {_line(key)}: the key {key.value} is given twice, and the first would be "
                    "forgotten: remove one, or put both into one"
                )
            lines[key.value] = _line(key)
            yield from _problems(value, seen)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _refuse_depth(text: str, name: str) -> None:
    """Refuse before anything is nested in memory what is nested so deeply that it would end the process."""
    depth = 0
    with contextlib.suppress(yaml.YAMLError):  # said where the text is read
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ConfigError(f"{name}: its keys lie too deep in each other to be a configuration; write it flat")


def _refuse_bombs(node: yaml.Node, name: str) -> None:
    sizes: dict[int, int] = {}

    def size(part: yaml.Node) -> int:
        """Return how many parts a node stands for, aliases followed, or the most that may be."""
        if id(part) not in sizes:
            sizes[id(part)] = _MOST  # an alias inside what it stands for never ends
            inside = part.value if isinstance(part.value, list) else []
            parts = [p for pair in inside for p in (pair if isinstance(pair, tuple) else (pair,))]
            sizes[id(part)] = min(_MOST, 1 + sum(map(size, parts)))
        return sizes[id(part)]

    if size(node) >= _MOST:
        raise ConfigError(f"{name}: its aliases stand for more parts than a configuration can have: write them out")
