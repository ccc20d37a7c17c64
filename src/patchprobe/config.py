"""Validation of the configuration against its JSON schema, with messages that name the key and the nearest valid one."""

import copy
import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from patchprobe.errors import ConfigError


def load_schema(path: Path) -> dict[str, Any]:
    """Read the JSON schema (written as YAML)."""
    schema: dict[str, Any] = yaml.safe_load(path.read_text())
    return schema


def validate(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of ``config`` with the defaults of the schema filled in.

    Raises ConfigError with one line for each wrong key or value: its full name, what is allowed, and for an unknown
    key the nearest valid one.
    """
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(
        validator.iter_errors(config), key=lambda error: (list(map(str, error.absolute_path)), error.message)
    )
    messages = [message for error in errors for message in _messages(error)]
    if messages:
        raise ConfigError("the configuration is not valid:\n" + "\n".join(f"  - {m}" for m in dict.fromkeys(messages)))
    filled: dict[str, Any] = copy.deepcopy(dict(config))
    _fill(filled, schema, schema)
    return filled


def _messages(error: jsonschema.ValidationError) -> Iterator[str]:
    if error.context:  # an if/then branch reports through its parts
        for part in error.context:
            yield from _messages(part)
        return
    key = ".".join(map(str, error.absolute_path))
    prefix = f"{key}." if key else ""
    rule: Any = error.validator_value
    schema: Any = error.schema
    instance: Any = error.instance
    if error.validator == "additionalProperties":
        allowed = sorted(schema.get("properties", {}))
        for name in sorted(set(instance) - set(allowed)):
            near = difflib.get_close_matches(str(name), allowed, n=1, cutoff=0.5)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"allowed are {', '.join(allowed)}"
            yield f"unknown key {prefix}{name}: {hint}"
    elif error.validator == "required":
        for name in rule:
            if name not in instance:
                yield f"key {prefix}{name} is missing"
    elif error.validator == "not":
        owner = key.rpartition(".")[0]
        decides = "transform" if ".variants." in owner else "source"
        yield f"key {key} has no meaning with this {owner}.{decides}: remove it"
    elif error.validator == "enum":
        near = difflib.get_close_matches(str(error.instance), list(map(str, rule)), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        yield f"key {key} is {error.instance!r}, allowed are {', '.join(map(str, rule))}{hint}"
    elif error.validator == "minProperties":
        yield f"key {key} is empty: name at least one"
    elif error.validator == "pattern":
        yield f"name {error.instance!r} under {key} must be lower-case letters, digits, '-' and '_'" + (
            ", and not models, tables, figures or pretraining" if key == "datasets" else ""
        )
    else:
        yield f"key {key}: {error.message}{_hint(instance) if error.validator == 'type' else ''}"


def _hint(value: object) -> str:
    """Say what a number that arrived as text may come from."""
    try:
        number = float(value) if isinstance(value, str) else None
    except ValueError:
        number = None
    # YAML 1.1 wants a dot before the exponent; values inside braces of --config arrive as text.
    return "" if number is None else " (write 1.0e-3, not 1e-3, and give nested numbers in a file)"


def _fill(values: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    for part in _applicable(values, schema, root):
        for name, sub in part.get("properties", {}).items():
            sub = _resolve(sub, root) if isinstance(sub, dict) else {}
            if name not in values and "default" in sub:
                values[name] = copy.deepcopy(sub["default"])
            if isinstance(values.get(name), dict):
                _fill(values[name], sub, root)
        more = part.get("additionalProperties")
        if isinstance(more, dict):
            for value in values.values():
                _fill(value, _resolve(more, root), root)


def _applicable(
    values: Mapping[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """Yield the schema and those of its conditional branches that hold for the values."""
    yield schema
    for branch in schema.get("allOf", ()):
        if jsonschema.Draft202012Validator(branch["if"]).is_valid(values):
            yield branch["then"]


def _resolve(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema
