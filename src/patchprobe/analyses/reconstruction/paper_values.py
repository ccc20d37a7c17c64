"""The paper's values of reconstruction, ``paper_values.yaml``, and the models of a configuration that they stand beside."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from patchprobe.own_files import read_yaml

FILE = Path(__file__).with_name("paper_values.yaml")


def paper_values(config: Mapping[str, Any], models: Iterable[str]) -> list[dict[str, Any]]:
    """Return ``model``, ``masked``, ``setting`` and the paper's metrics, for those ``models`` whose file of weights is MAE's."""
    content = _content()
    files = {name: Path(config["models"][name].get("checkpoint") or "").name for name in models}
    known = [name for name in sorted(files) if files[name] in content["weights"]]
    return [{"model": name, **value} for name in known for value in content["values"]]


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = read_yaml(FILE)
    return content
