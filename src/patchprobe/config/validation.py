"""Validation of the configuration: models looked up in the registry, the JSON schema, and what keys mean together.

Messages name the key and the nearest valid one.
"""

import copy
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from patchprobe.config.conflicts import conflicts
from patchprobe.config.downloads import fill_roots
from patchprobe.config.reading import whole_numbers
from patchprobe.errors import ConfigError, suggestion
from patchprobe.models.registered import FOLDER, resolve
from patchprobe.own_files import read_yaml

# Folders of results, which no data set may be named like; the pattern of the schema says the same.
NO_DATA_SETS = ("models", "tables", "figures", "pages", "pretraining")
_LIBRARY = Path(__file__).parents[1]
# Whose choice a value is, at the end of a description.
_MARK = re.compile(r" \[[OP]\]$")
# What to do about a value that breaks a rule of the schema, by its name there; ``{}`` is what the rule asks for.
_REMEDIES = {
    "minimum": "give {} or more",
    "exclusiveMinimum": "give more than {}",
    "maximum": "give {} or less",
    "exclusiveMaximum": "give less than {}",
    "minItems": "give at least {}",
    "maxItems": "give at most {}",
    "minLength": "give at least {} character",
    "uniqueItems": "give each once",
}
# Keys of earlier versions, and what to write in their place.
_REPLACED = {
    "dask_scheduler": "write `dask: {scheduler: tcp://…}` in its place, or `dask: {scheduler: threads}` for null"
}


def load_schema(path: Path) -> dict[str, Any]:
    """Read the JSON schema (written as YAML), with the keys that analyses, kinds of corruptions and adapters bring along."""
    schema = _read_yaml(path)
    for file in sorted(_LIBRARY.glob("analyses/*/schema.yaml")):
        schema["properties"][file.parent.name] = _read_yaml(file)
    for file in sorted(_LIBRARY.glob("corruptions/kinds/*.yaml")):
        schema["properties"]["corruptions"]["properties"][file.stem.replace("_", "-")] = _read_yaml(file)
    # Of an adapter without such a file, the adapter itself checks the options when the data set is opened.
    for file in sorted(_LIBRARY.glob("datasets/adapters/*.yaml")):
        own = {"properties": {"adapter": {"const": file.stem}}, "required": ["adapter"]}
        options = _read_yaml(file)
        needs = {"required": ["options"]} if options.get("required") else {}
        branch = {"if": own, "then": {**needs, "properties": {"options": options}}}
        schema["$defs"]["dataset"].setdefault("allOf", []).append(branch)
    return schema


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml(path)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML ({' '.join(str(error).split())}): correct it") from None
    if not isinstance(content, dict) or not {"properties", "type", "$ref"} & set(content):
        raise ConfigError(f"{path} is no schema: give it type and properties, as the schemas beside it have")
    return content


def validate(config: Mapping[str, Any], schema: Mapping[str, Any], registry: Path = FOLDER) -> dict[str, Any]:
    """Return a copy of ``config`` with its models resolved and the defaults of the schema filled in.

    A model gets the keys that it takes from the folder ``registry`` (:func:`patchprobe.models.registered.resolve`), so that
    what follows sees values only and never the registry. Raises ConfigError with one line for each wrong key or value:
    its full name, what is allowed, and for an unknown key the nearest valid one.
    """
    filled, messages = _resolved(whole_numbers(dict(config)), registry)
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(
        validator.iter_errors(filled), key=lambda error: (list(map(str, error.absolute_path)), error.message)
    )
    infinite = dict(_infinite(filled, ""))
    messages += infinite.values()
    # One message about a number is enough.
    others = [error for error in errors if ".".join(map(str, error.absolute_path)) not in infinite]
    messages += [message for error in others for message in _messages(error)]
    if not messages:
        _fill(filled, schema, schema)
        fill_roots(filled)
        # The defaults too, so that one that is written out is the same value.
        filled = whole_numbers(filled)
        messages = list(conflicts(filled))
    if messages:
        raise ConfigError(
            "the configuration is not valid; correct these keys:\n"
            + "\n".join(f"  - {m}" for m in dict.fromkeys(messages))
        )
    return filled


def _resolved(config: Mapping[str, Any], registry: Path) -> tuple[dict[str, Any], list[str]]:
    """Return a deep copy with the models resolved, and a message for each that cannot be."""
    filled: dict[str, Any] = copy.deepcopy(dict(config))
    messages: list[str] = []
    models = filled.get("models")
    if not isinstance(models, dict):
        return filled, messages
    for name, entry in models.items():
        if entry is None or isinstance(entry, dict):
            try:
                models[name] = resolve(name, entry, registry)
            except ConfigError as error:
                messages.append(str(error))
                models[name] = {"source": "pixels"}  # anything valid: its one message is enough
    return filled, messages


def _infinite(value: object, key: str) -> Iterator[tuple[str, str]]:
    """Yield key and message of numbers that are none; the schema's limits let NaN pass, and JSON cannot hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        yield key, f"key {key} is {value}: give a finite number"
    elif isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _infinite(part, f"{key}.{name}" if key else str(name))


def _messages(error: jsonschema.ValidationError) -> Iterator[str]:
    key = ".".join(map(str, error.absolute_path))
    rule: Any = error.validator_value
    if error.validator == "oneOf":
        yield f"key {key} is {error.instance!r}, allowed are {' or '.join(map(_form, rule))}"
        return
    if error.context:  # an if/then branch reports through its parts
        for part in error.context:
            yield from _messages(part)
        return
    prefix = f"{key}." if key else ""
    schema: Any = error.schema
    instance: Any = error.instance
    if error.validator == "additionalProperties":
        allowed = sorted(schema.get("properties", {}))
        for name in sorted(set(instance) - set(allowed)):
            if prefix + name in _REPLACED:
                yield f"key {prefix}{name} is not read any more: {_REPLACED[prefix + name]}"
                continue
            hint = suggestion(name, allowed, f"allowed are {', '.join(allowed)}", prefix=prefix, cutoff=0.5)
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
        hint = suggestion(error.instance, rule)
        choices = ", ".join("null" if value is None else str(value) for value in rule)
        yield f"key {key} is {error.instance!r}, allowed are {choices}{hint and f' ({hint})'}"
    elif error.validator == "minProperties":
        yield f"key {key} is empty: name at least one"
    elif error.validator == "pattern" and "propertyNames" not in error.absolute_schema_path:
        # An address may hold a password or a signature, and a wrong one cannot be taken apart.
        told = re.sub(r"://.*@|\?.*", "…", repr(instance)) if "://" in repr(instance) else repr(instance)
        yield f"key {key} is {told}, which is not of the form it needs; it is this: {_MARK.sub('', schema['description'])}"
    elif error.validator == "pattern":
        yield f"name {error.instance!r} under {key} must be lower-case letters, digits, '-' and '_'" + (
            f", and not {', '.join(NO_DATA_SETS[:-1])} or {NO_DATA_SETS[-1]}" if key == "datasets" else ""
        )
    else:
        remedy = _REMEDIES.get(str(error.validator), "").format(rule)
        yield f"key {key}: {error.message}{remedy and f': {remedy}'}{_hint(instance, schema) if error.validator == 'type' else ''}"


def _form(schema: Mapping[str, Any]) -> str:
    """Say what values a simple schema allows."""
    if "const" in schema:
        return str(schema["const"])
    least = f" from {schema['minimum']}" if "minimum" in schema else ""
    return f"{schema['type']}s{least}"


def _hint(value: object, schema: Mapping[str, Any]) -> str:
    """Say what a number that arrived as text may come from, or a text that arrived as something else, and what keys an object has."""
    wanted = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if wanted == ["object"] and schema.get("properties"):
        return f" (write what it says below it: it has the keys {', '.join(schema['properties'])})"
    if wanted == ["object"] and "description" in schema:
        return (
            f" (write names below it, each with its value: {re.split(r'[.;] ', schema['description'])[0].rstrip('.')})"
        )
    if "array" in wanted and isinstance(value, str | int | float):
        return f" (write it in brackets: [{value}])"
    if value is None and "string" in wanted:
        return " (in YAML a # outside quotes begins a remark, so that nothing is left of '#ff8000' without them)"
    if isinstance(value, bool | int | float) and "string" in wanted:
        return " (YAML reads it so: put it in quotes)"
    try:
        number = float(value) if isinstance(value, str) and {"number", "integer"} & set(wanted) else None
    except ValueError:
        number = None
    return "" if number is None else " (--config passes nested numbers on as text, and quotes make text of them)"


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
