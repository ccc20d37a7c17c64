"""What no tensor tells of a model from a file: number of heads and normalisation, decided by its layout or asked for."""

import sys
from collections.abc import Mapping
from typing import Any

import timm
from torch import nn

from patchprobe.errors import ModelError
from patchprobe.models.layout import Contents, Weights
from patchprobe.models.unfilled import outline


def decided(name: str, entry: Mapping[str, Any], contents: Contents, module: nn.Module) -> dict[str, Any]:
    """Return the entry ``models.<name>`` with number of heads, ``mean`` and ``std`` as the code of the layout has them.

    Keys of the entry win. ``module`` is the architecture as it was built for the entry. Raises ModelError naming the
    key that has to be given where neither layout nor architecture tells it.
    """
    arguments = dict(entry.get("arguments") or {})
    if contents.heads and arguments.get("num_heads", contents.heads) != contents.heads:
        print(
            f"models.{name}.arguments.num_heads is {arguments['num_heads']}; in its authors' code a model of this width has "
            f"{contents.heads}",
            file=sys.stderr,
        )
    if "num_heads" not in arguments:
        heads = _heads(name, entry, arguments, contents)
        if heads and heads != _built_heads(module):
            arguments["num_heads"] = heads
    result = {**entry, "arguments": arguments}
    parts: Any = module
    for position, key in enumerate(("mean", "std")):
        if entry.get(key):
            continue
        if contents.normalisation:
            result[key] = contents.normalisation[position]
        elif key in contents.asked:
            if "." not in str(entry["architecture"]):
                raise ModelError(
                    f"models.{name}.{key} is missing: {contents.asked[key]}, and nothing in the file tells; give mean and "
                    f"std, or the tag in models.{name}.architecture ({_tags(str(entry['architecture']))})"
                )
            result[key] = parts.pretrained_cfg[key]
    return result


def without_zero_biases(weights: Weights, module: nn.Module) -> tuple[Weights, tuple[str, ...]]:
    """Return the weights without biases of queries, keys and values that are zero and that the model has no place for.

    Those change nothing; the second value is their names.
    """
    expected = module.state_dict()
    zero = tuple(
        name
        for name, value in weights.items()
        if name.endswith((".q_bias", ".k_bias", ".v_bias")) and name not in expected and not value.any()
    )
    return {name: value for name, value in weights.items() if name not in zero}, zero


def _heads(name: str, entry: Mapping[str, Any], arguments: Mapping[str, Any], contents: Contents) -> int | None:
    """Return the number of heads that the layout tells, or None where it is the architecture's own."""
    if contents.heads:
        return contents.heads
    key = f"models.{name}.arguments.num_heads"
    if reason := contents.asked.get("arguments.num_heads"):
        raise ModelError(f"{key} is missing: {reason}, and nothing in the file tells the number of heads; give it")
    if "embed_dim" in arguments:
        plain = outline(str(entry["architecture"]))
        if plain.embed_dim != arguments["embed_dim"]:
            raise ModelError(
                f"{key} is missing: with embed_dim {arguments['embed_dim']} it is another ViT than {entry['architecture']} "
                f"({plain.embed_dim} features), and nothing in the file tells the number of heads; give it"
            )
    return None


def _built_heads(module: nn.Module) -> int | None:
    parts: Any = module
    attention = getattr(parts.blocks[0], "attn", None)
    return getattr(attention, "num_heads", None)


def _tags(architecture: str) -> str:
    return ", ".join(timm.list_pretrained(f"{architecture}.*")[:4]) or "timm has none"
