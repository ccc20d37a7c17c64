"""The page config/README.md, made from the schema: ``python -m patchprobe.reference.config config``."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from patchprobe.config.validation import load_schema

_HEAD = """\
# Configuration

<!-- Generated from the schema by `python -m patchprobe.reference.config config`; do not edit. -->

`config/config.yaml` is read when no `--configfile` is given; a `--configfile` stands for itself and is not merged with
it. Several files after `--configfile` are merged in their order, and `--config key=value` comes on top, for instance
`--config seed=1 data_root=/data "models={mine: {source: timm, architecture: vit_base_patch16_224}}"` (Snakemake passes
nested values on as text, so numbers inside braces need a file). Keys that are
left out have the defaults below. A key that is not listed is an error that names the nearest valid one.

The mark at the end of a description says where a value comes from: **[P]** it is stated in the paper
(arXiv 2401.00463), **[L]** the paper had it but the text at hand lost it, so the default is ours, **[O]** the paper
says nothing, so it is our choice.

## Add a model

```yaml
models:
  my-vit:                               # becomes part of file names: lower-case letters, digits, - and _
    source: timm
    architecture: vit_base_patch16_224.dino
    checkpoint: my_weights.safetensors  # below checkpoint_root; left out, timm's hub is asked
```

Only the jobs of `my-vit` and the final tables run. `snakemake --cores 8 results/models/my-vit.csv` runs its branch alone.

## Add a data set

A data set in a layout that an adapter knows needs an entry with its `adapter`, `root`, `splits` and `tiling`. Another
layout needs one new module in `src/patchprobe/datasets/adapters/`, see `docs/datasets.md`.

## Keys
"""
_ROW = "| `{name}` | {kind} | {default} | {text} |"


def reference(schema: Mapping[str, Any]) -> str:
    """Return the page in Markdown: one row per key with its type, default and description."""
    sections = [_HEAD]
    parts = [("Top level", schema), *_entries(schema)]
    for title, part in parts:
        sections.append(f"### {title}\n")
        sections.append("| key | type | default | meaning |\n|---|---|---|---|")
        sections += [_ROW.format(**row) for row in _rows(part, schema, "")]
        sections.append("")
    return "\n".join(sections)


def _entries(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "`datasets.<name>` entries", schema["$defs"]["dataset"]
    for branch in schema["$defs"]["dataset"]["allOf"]:
        options = branch["then"]["properties"]["options"]
        if options["properties"]:
            adapter = branch["if"]["properties"]["adapter"]["const"]
            yield f"`datasets.<name>.options` of adapter `{adapter}`", options
    yield "`models.<name>` entries", schema["$defs"]["model"]
    yield "`models.<name>.variants.<name>` entries", schema["$defs"]["variant"]
    yield "`pretraining.objectives.<name>` entries", schema["$defs"]["objective"]


def _rows(part: Mapping[str, Any], root: Mapping[str, Any], prefix: str) -> Iterator[dict[str, str]]:
    conditional: dict[str, Any] = {}
    for branch in part.get("allOf", ()):
        for key, rule in branch["then"].get("properties", {}).items():
            if "default" in rule:
                conditional[key] = rule["default"]
    for key, sub in part.get("properties", {}).items():
        if "$ref" in sub:
            sub = {**root["$defs"][sub["$ref"].rpartition("/")[2]], **sub}
        default = sub.get("default", conditional.get(key, ...))
        inner = "properties" in sub
        if sub.get("description") or not inner:
            yield {
                "name": prefix + key,
                "kind": _kind(sub),
                "default": "" if inner or default is ... else f"`{json.dumps(default)}`",
                "text": sub.get("description", ""),
            }
        if inner:
            yield from _rows(sub, root, f"{prefix}{key}.")


def _kind(rule: Mapping[str, Any]) -> str:
    if "enum" in rule:
        return ", ".join("null" if value is None else f"`{value}`" for value in rule["enum"])
    kinds = rule.get("type", "")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "README.md").write_text(reference(load_schema(folder / "schema" / "config.schema.yaml")))
