"""Configuration, specs, code digests and paths that the rules share; no rules."""

import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import flag
from snakemake.utils import update_config

# Not workflow.basedir, which is another folder where a file of another folder includes the Snakefile.
BASE = Path(str(workflow.current_basedir)).parent
# The library beside this workflow is the one whose code the digests vouch for; the launcher may have loaded another.
for name in [name for name in sys.modules if name.partition(".")[0] == "patchprobe"]:
    if not Path(sys.modules[name].__file__ or "").resolve().is_relative_to((BASE / "src").resolve()):
        del sys.modules[name]
sys.path.insert(0, str(BASE / "src"))

from patchprobe.analyses.declaring import analyses, black_tokens  # noqa: E402
from patchprobe.config import downloads, inputs, specs  # noqa: E402
from patchprobe.config.reading import from_command_line, read_file  # noqa: E402
from patchprobe.config.validation import load_schema, validate  # noqa: E402
from patchprobe.datasets.released import MARKER  # noqa: E402
from patchprobe.errors import ConfigError  # noqa: E402
from patchprobe.run import planning, provenance  # noqa: E402
from patchprobe.run.call import Call  # noqa: E402
from patchprobe.run.devices import resolve_device  # noqa: E402
from patchprobe.spreading import cluster  # noqa: E402
from patchprobe.stores import objects  # noqa: E402

try:
    # Read again, since Snakemake's own reading forgets keys and takes numbers for text. A workflow that has this one as a
    # module gives it a configuration of its own.
    if not workflow.modifier.skip_configfile:
        config = {}
        for file in workflow.configfiles:
            update_config(config, read_file(Path(file)))
        update_config(config, from_command_line(workflow.config_settings.config))
    config = validate(
        config,
        load_schema(BASE / "config/schema/config.schema.yaml"),
        registry=BASE / "src/patchprobe/models/registry",
    )
except ConfigError as error:
    raise WorkflowError(str(error)) from None

# Jobs know the address of a scheduler that their run has started by the environment.
if workflow.is_main_process:
    cluster.announce(config["dask"])
else:
    cluster.announce_once(config["dask"])

objects.announce(config["object_storage"])
CALL = Call(workflow, config)
CALL.take_part()

SOURCES = provenance.Sources(BASE / "src")
DATASETS = sorted(config["datasets"])
GENERATED = [name for name in DATASETS if config["datasets"][name]["generate"]]
MODELS = sorted(config["models"])
CORRUPTIONS = sorted(config["corruptions"])
VARIANTS = sorted({f"@{name}" for model in MODELS for name in config["models"][model]["variants"]})


# The names themselves, so that a target with an unknown name is one that no rule makes.
wildcard_constraints:
    dataset="|".join(DATASETS),
    model="|".join(MODELS),
    # Never an empty text, which Snakemake takes for no constraint.
    variant="|".join(["(?:)", *VARIANTS]),
    corruption="[a-z][a-z-]*",


def spec(values):
    """The values that a rule uses, as the canonical text that decides about staleness."""
    return provenance.canonical(values)


def code(script, *modules):
    """The digest of a script's code and of all that it imports; modules are those that it finds by name."""
    return SOURCES.digest(BASE / "workflow/scripts" / f"{script}.py", modules)


@cache
def gpu_here():
    return resolve_device("auto") == "cuda"


def sent_elsewhere():
    # A dry run has an executor of its own; those that send jobs elsewhere have a number of nodes.
    planned = workflow.dryrun and workflow.resource_settings.nodes is not None
    return workflow.non_local_exec or workflow.remote_exec or planned


def gpus(elsewhere):
    """The GPUs that a job asks for. What auto means is known on this machine alone: jobs that are sent elsewhere ask for one
    where they are to have it ``elsewhere``."""
    if config["device"] == "auto":
        return int(elsewhere if sent_elsewhere() else gpu_here())
    return int(config["device"] == "cuda")


def network_gpus(wildcards):
    """The GPUs that a job asks for that runs a network: none where the processor does it, so that such jobs run side by side."""
    return gpus(elsewhere=True)


def search_gpus(wildcards):
    """The GPUs that a job asks for whose neighbours are searched, which changes no result."""
    return gpus(elsewhere=False)


def more(of):
    """Memory or time that a job asks for, twice as much at each further attempt: a scheduler ends jobs that take more."""
    return lambda wildcards, attempt: of * 2 ** (attempt - 1)


def extraction_gpus(wildcards):
    """The GPUs that a job asks for that makes a store of tokens: none where it only puts shards together."""
    return 0 if inputs.shards(config, **wildcards) else network_gpus(wildcards)


def awaited(files):
    """Inputs that only have to be there: neither their times nor that they are among the inputs make anything stale."""
    return [flag(ancient(file), planning.AWAITED) for file in files]


def prepared(files):
    """Inputs that are made for a job where it runs, and whose coming and going from one configuration to the next makes
    nothing stale."""
    return flag(awaited(files), planning.PREPARED)
