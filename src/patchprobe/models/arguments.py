"""The arguments of an entry for ``timm.create_model``: checked one by one, so that an error names the one at fault."""

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from patchprobe.errors import ModelError, shown, suggestion
from patchprobe.models.unfilled import outline

_OWN_ARGUMENTS = {
    "img_size": "set models.{name}.input_size instead",
    "num_classes": "remove it, a backbone has no classifier",
    "in_chans": "remove it, images have 3 channels",
    "device": "set device instead",
    "dtype": "set extraction.precision instead",
}
# Sizes that timm builds an empty model for, or divides by.
_POSITIVE = ("embed_dim", "depth", "num_heads", "patch_size", "mlp_ratio")
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}


def check_arguments(name: str, architecture: str, arguments: Mapping[str, Any]) -> None:
    """Raise ModelError naming the first argument that the loader sets itself, or the architecture does not take so.

    The kinds of values are those of the annotations of timm's class; text that reads like a number or a truth value is
    called so, since timm would take any text for true.
    """
    for argument in sorted(arguments.keys() & _OWN_ARGUMENTS.keys()):
        raise ModelError(f"models.{name}.arguments.{argument}: {_OWN_ARGUMENTS[argument].format(name=name)}")
    if not arguments:
        return
    parameters = inspect.signature(type(outline(architecture)).__init__).parameters
    known = sorted(parameters.keys() - _OWN_ARGUMENTS.keys() - {"self"})
    for argument, value in arguments.items():
        key = f"models.{name}.arguments.{argument}"
        if argument not in known:
            hint = suggestion(argument, known, f"it takes {', '.join(known)}")
            raise ModelError(f"{key}: {architecture} has no such argument; {hint}")
        if not isinstance(value, bool | int | float | str | None):
            raise ModelError(f"{key}: {value!r} is neither a number, a text, true, false nor null: give one")
        _check_kind(key, value, parameters[argument])
        if argument in _POSITIVE and isinstance(value, int | float) and not value > 0:
            raise ModelError(f"{key}: {value} is not positive: set it to more than 0")


def arguments_at_fault(name: str, architecture: str, arguments: Mapping[str, Any], reason: object) -> ModelError | None:
    """Return the error for arguments with which timm cannot build what it builds without them, or None.

    ``reason`` is what timm said. The error names the argument that fails alone, or all of them.
    """
    if not arguments or not _builds(architecture, {}):
        return None
    faulty = [argument for argument, value in arguments.items() if not _builds(architecture, {argument: value})]
    culprits = faulty[:1] or list(arguments)
    key = f"models.{name}.arguments"
    where = f"{key}.{culprits[0]}" if len(culprits) == 1 else key
    values = ", ".join(f"{argument}: {shown(repr(arguments[argument]))}" for argument in culprits)
    return ModelError(
        f"{where}: timm cannot build {architecture} with {values} ({shown(reason)}); correct or remove it"
    )


def _builds(architecture: str, arguments: Mapping[str, Any]) -> bool:
    try:
        outline(architecture, **arguments)
    except Exception:  # whatever a wrong value leads to inside timm
        return False
    return True


def _check_kind(key: str, value: Any, parameter: inspect.Parameter) -> None:
    choices = _choices(parameter.annotation)
    if choices is None or value is parameter.default:
        return
    allowed, literals = choices
    if literals and (value in literals or (value is None and type(None) in allowed)):
        return
    if type(value) in allowed or (type(value) is int and float in allowed):
        return
    kinds = [_NAMES[kind] for kind in _NAMES if kind in allowed]
    expected = " or ".join([*kinds, *(f"one of {', '.join(map(repr, literals))}" for _ in literals[:1])])
    remedy = ""
    if isinstance(value, str) and str not in allowed and not literals:
        remedy = _unquoted(value, allowed)
    raise ModelError(f"{key}: {value!r} is {_NAMES[type(value)]}, but it takes {expected}{remedy}")


def _choices(annotation: Any) -> tuple[set[type], Sequence[Any]] | None:
    """Return the plain types that an annotation allows and its literal values, or None if it says too little."""
    if annotation in _NAMES:
        return {annotation}, ()
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return set(), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        allowed: set[type] = set()
        literals: list[Any] = []
        for part in typing.get_args(annotation):
            found = _choices(part)
            allowed |= found[0] if found else set()
            literals += found[1] if found else ()
        return (allowed, literals) if allowed or literals else None
    return None


def _unquoted(value: str, allowed: set[type]) -> str:
    """Say how to write text that was meant as a number or a truth value."""
    if bool in allowed and value.strip().lower() in ("true", "false", "yes", "no", "on", "off"):
        return "; write it without quotes, as true or false"
    try:
        number = float(value)
    except ValueError:
        return ""
    return f"; write it without quotes: {int(number) if float not in allowed and number == int(number) else number}"
