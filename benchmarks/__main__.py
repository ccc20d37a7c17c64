"""Run the benchmarks named on the command line, or all, print a table and write results/bench.json."""

import importlib
import json
import logging
import pkgutil
import sys
from dataclasses import asdict
from pathlib import Path

from tabulate import tabulate

import benchmarks
from benchmarks.measure import THREADS

OUTPUT = Path("results/bench.json")
# What benchmarks share, and one that needs a folder.
_NONE = ("__main__", "measure", "tokens", "scaling")


def main(names: list[str]) -> None:
    """Run and report."""
    found = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name not in _NONE]
    if unknown := sorted(set(names) - set(found)):
        sys.exit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(found)}")
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in names or found}
    # Advice on the probes' settings is for runs whose scores count.
    logging.getLogger("patchprobe").setLevel(logging.ERROR)
    rows = []
    for name, module in modules.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += [{**asdict(result), "ratio": result.ratio} for result in module.run()]
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"{THREADS} threads; ratio = ours / reference\n")
    print(tabulate(rows, headers="keys", floatfmt=".3g"))


if __name__ == "__main__":
    main(sys.argv[1:])
