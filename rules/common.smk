"""Configuration, specs, code digests and paths that the rules share; no rules."""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

BASE = Path(workflow.basedir)
# The library beside this workflow is the one whose code the digests vouch for.
sys.path.insert(0, str(BASE / "src"))

from patchprobe import provenance, runlock  # noqa: E402
from patchprobe.config import load_schema, validate  # noqa: E402
from patchprobe.errors import ConfigError  # noqa: E402

try:
    config = validate(config, load_schema(BASE / "config/schema/config.schema.yaml"))
except ConfigError as error:
    raise WorkflowError(str(error)) from None

DATASETS = sorted(config["datasets"])
MODELS = sorted(config["models"])
CORRUPTIONS = sorted(config["corruptions"])
VERSIONS = ["clean", *CORRUPTIONS]
TABLE_FORMATS = ["csv", "md", "tex", "html"]
FIGURE_FORMATS = ["svg", "png"]


wildcard_constraints:
    dataset="[a-z0-9][a-z0-9_-]*",
    model="[a-z0-9][a-z0-9_-]*",
    corruption="[a-z][a-z-]*",


def spec(**values):
    """The config values that a rule uses, as the canonical text that decides about staleness."""
    return provenance.canonical(values)


def code(script, *modules):
    """The digest of a script's code and of all that it imports; modules are those that it finds by name."""
    return provenance.code_digest(BASE / "workflow/scripts" / f"{script}.py", BASE / "src", modules)


def hold_folder():
    """Keep a second run out of this folder for as long as this process lives."""
    try:
        runlock.hold(Path(".snakemake"))
    except runlock.FolderInUseError as error:
        raise WorkflowError(str(error)) from None
