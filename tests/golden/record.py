"""Records what the golden tests measured in the file that docs/verification.md is made from.

    PATCHPROBE_DIFFERENCES=table.md python -m pytest tests/golden
    python tests/golden/record.py table.md
    python -m patchprobe.reference.verification docs/verification.md

Several tables are merged, and what they do not have stays as it is recorded. With PATCHPROBE_DIFFERENCES the tests do not compare with
what is recorded, only with the tolerance.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from patchprobe.reference.verification import MEASURED

HEAD = "# What tests/golden measured, written by tests/golden/record.py: see there.\n"


def tables(text: str) -> list[list[str]]:
    """The rows of all tables of a text in Markdown, without their heads."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:2] == "| "]
    return [row for row in rows if row[0] != "model"]


def spec_of(folder: str) -> dict[str, Any]:
    """The spec of a golden folder."""
    shared = Path(os.environ.get("PATCHPROBE_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    (file,) = [file for root in ("golden", "golden_more") if (file := shared / root / folder / "spec.json").is_file()]
    return json.loads(file.read_text())


def add(content: dict[str, Any], rows: list[list[str]]) -> None:
    """Put rows of tables into the content of the file."""
    for row in rows:
        if row[0].startswith("registry: "):
            name, case, output, difference, _ = row
            content["entries"].setdefault(name.removeprefix("registry: "), {}).setdefault(case, {})[output] = float(
                difference
            )
            continue
        folder = content["folders"].setdefault(row[0], {"cases": {}, "mistakes": {}})
        if len(row) == 4:
            folder["mistakes"][row[1]] = float(row[2])
            continue
        _, case, output, difference, atol = row
        known = spec_of(row[0])["cases"][re.sub(r" \(.*", "", case)]
        shape = known["input"]["shape"]
        recorded = folder["cases"].setdefault(case, {"differences": {}})
        recorded |= {
            "full": known.get("size") == "full",
            "images": shape[0],
            "input": shape[2:],
            "tolerance": float(atol),
        }
        recorded["differences"][output] = float(difference)


def written(content: dict[str, Any]) -> str:
    """The content in YAML, one line for each case, so that a change shows as what it is."""

    def lines(part: dict[str, Any], indent: int) -> list[str]:
        pairs = [yaml.safe_dump({name: part[name]}, default_flow_style=True, width=1e9) for name in sorted(part)]
        return [" " * indent + pair.strip()[1:-1] for pair in pairs]

    text = [HEAD.strip(), "entries:"]
    for name, cases in sorted(content["entries"].items()):
        text += [f"  {name}:", *lines(cases, 4)]
    text.append("folders:")
    for name, folder in sorted(content["folders"].items()):
        text.append(f"  {name}:")
        for key in ("cases", "mistakes"):
            text += [f"    {key}:", *lines(folder[key], 6)] if folder[key] else [f"    {key}: {{}}"]
    assert yaml.safe_load("\n".join(text)) == content
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    found = yaml.safe_load(MEASURED.read_text()) if MEASURED.exists() else {"folders": {}, "entries": {}}
    for table in sys.argv[1:]:
        add(found, tables(Path(table).read_text()))
    MEASURED.write_text(written(found))
