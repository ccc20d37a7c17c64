"""Configuration, specs, code digests and paths that the rules share; no rules."""

import atexit
import sys
import tempfile
import time
from functools import cache
from os.path import relpath
from pathlib import Path

from snakemake.benchmark import BenchmarkTimer
from snakemake.dag import DAG
from snakemake.exceptions import WorkflowError
from snakemake.io import flag, is_flagged
from snakemake.persistence import PersistenceBase
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.script import PythonScript
from snakemake.settings.enums import RerunTrigger
from snakemake.utils import update_config

# Not workflow.basedir, which is another folder where a file of another folder includes the Snakefile.
BASE = Path(str(workflow.current_basedir)).parent
# The library beside this workflow is the one whose code the digests vouch for; the launcher may have loaded another.
for name in [name for name in sys.modules if name.partition(".")[0] == "patchprobe"]:
    if not Path(sys.modules[name].__file__ or "").resolve().is_relative_to((BASE / "src").resolve()):
        del sys.modules[name]
sys.path.insert(0, str(BASE / "src"))

from patchprobe.analyses.declaring import analyses, black_tokens, of_the_paper  # noqa: E402
from patchprobe.config import downloads, inputs, specs  # noqa: E402
from patchprobe.config.reading import from_command_line, read_file  # noqa: E402
from patchprobe.config.validation import load_schema, validate  # noqa: E402
from patchprobe.datasets.released import MARKER  # noqa: E402
from patchprobe.downloads.addresses import check_mirror  # noqa: E402
from patchprobe.errors import ConfigError, PatchprobeError  # noqa: E402
from patchprobe.run import failures, forked, forkserver, lock, mirror, planning, preflight  # noqa: E402
from patchprobe.run import provenance, rounds, stage_times  # noqa: E402
from patchprobe.run.devices import resolve_device  # noqa: E402
from patchprobe.run.unmade import unmade  # noqa: E402
from patchprobe.spreading import cluster, server, staging  # noqa: E402
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

KNOWN_CODE = Path(".snakemake/patchprobe-code.json")
provenance.recall(KNOWN_CODE)
objects.announce(config["object_storage"])

DATASETS = sorted(config["datasets"])
GENERATED = [name for name in DATASETS if config["datasets"][name]["generate"]]
MODELS = sorted(config["models"])
CORRUPTIONS = sorted(config["corruptions"])
STARTED = time.time()
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
    return provenance.code_digest(BASE / "workflow/scripts" / f"{script}.py", BASE / "src", modules)


@cache
def gpu_here():
    return resolve_device("auto") == "cuda"


def search_gpus(wildcards):
    """The GPUs that a job asks for whose neighbours are searched: one where `device` means a GPU, which changes no result.

    What auto means is known on this machine alone, so jobs that are sent elsewhere have a GPU with cuda.
    """
    elsewhere = workflow.non_local_exec or workflow.remote_exec
    return int(config["device"] == "cuda" or (config["device"] == "auto" and not elsewhere and gpu_here()))


def more(of):
    """Memory or time that a job asks for, twice as much at each further attempt: a scheduler ends jobs that take more."""
    return lambda wildcards, attempt: of * 2 ** (attempt - 1)


def extraction_gpus(wildcards):
    """The GPUs that a job asks for that makes a store of tokens: none where it only puts shards together."""
    return int(config["device"] != "cpu" and not inputs.shards(config, **wildcards))


def awaited(files):
    """Inputs that only have to be there: neither their times nor that they are among the inputs make anything stale."""
    return [flag(ancient(file), planning.AWAITED) for file in files]


def prepared(files):
    """Inputs that are made for a job where it runs, and whose coming and going from one configuration to the next makes
    nothing stale."""
    return flag(awaited(files), planning.PREPARED)


def recorded_inputs(persistence, job):
    """Snakemake's own list of a job's inputs, which it compares with the last time, without those that are prepared."""
    left_out = {str(path) for path in job.input if is_flagged(path, planning.PREPARED)}
    return [path for path in snakemakes_inputs(persistence, job) if str(path) not in left_out]


async def check_incomplete(dag):
    """Snakemake's own check, after which it decides what to run; then force what the records say is not as planned."""
    await snakemakes_check_incomplete(dag)
    if workflow.is_main_process:
        # Before anything is decided, so that no other run changes what the decision rests on.
        if workflow.executor_plugin is not None and not workflow.dryrun:
            hold_folder()
        wrong = await unmade(dag)
        if wrong:
            raise WorkflowError(wrong)
        # Of this machine, where files are fetched; machines that jobs are sent to may lack the folder.
        if any(job.rule.name in ("fetch_data", "fetch_checkpoint") for job in dag.jobs):
            look_at_mirror()
        current.append(planning.Planning(dag))
        provenance.remember(KNOWN_CODE)
        if workflow.dryrun:
            say_what_is_of_the_paper(dag)
            say_what_would_be_fetched(dag)
        # Who leaves params out of the triggers wants results kept whatever made them.
        dag.forcefiles.update(current[-1].forced(RerunTrigger.PARAMS in workflow.rerun_triggers))
    elif config["fork_jobs"] and len(workflow.dag_settings.target_jobs) > 1:
        # On a cluster's node, where a group was sent as one job: what starts its jobs one by one.
        folder = tempfile.TemporaryDirectory(prefix="patchprobe-")
        atexit.register(folder.cleanup)
        forkserver.start(Path(folder.name))


async def clean(dag, *options, dryrun=False, **others):
    """Snakemake's --delete-all-output, but not in a folder in which a run works."""
    if not dryrun:
        hold_folder()
    await snakemakes_clean(dag, *options, dryrun=dryrun, **others)


# The planning of this run, as soon as there is one.
current = []
# Snakemake has no place for hooks between the graph of jobs and the decision about them. Parsed twice in one process,
# this wraps Snakemake's functions and not the wrappers.
snakemakes_check_incomplete = getattr(DAG.check_incomplete, "wrapped", DAG.check_incomplete)
snakemakes_clean = getattr(DAG.clean, "wrapped", DAG.clean)
check_incomplete.wrapped, clean.wrapped = snakemakes_check_incomplete, snakemakes_clean
DAG.check_incomplete, DAG.clean = check_incomplete, clean
rounds.one_timer(JobScheduler)


snakemakes_inputs = getattr(PersistenceBase._input, "wrapped", PersistenceBase._input)
recorded_inputs.wrapped = snakemakes_inputs
PersistenceBase._input = recorded_inputs


def say_what_is_of_the_paper(dag):
    """Say which tables and figures of the paper the asked files are, by number."""
    asked = {str(path) for job in dag.jobs for path in job.output}
    for title, analysis, what in of_the_paper():
        patterns = list(analysis.shown_paths(what).values())
        paths = {pattern.replace("{dataset}", name) for pattern in patterns for name in DATASETS} & asked
        if paths:
            print(f"of the paper, {title}: {', '.join(sorted(paths))}", file=sys.stderr)


def say_what_would_be_fetched(dag):
    """Say which data sets are fetched for the asked files, and how large they are."""
    asked = {str(path) for job in dag.jobs for path in job.output}
    for name, release in downloads.to_fetch(config).items():
        if asked & set(downloads.marker(config, name)):
            print(f"would fetch {downloads.described(config, name, release)}", file=sys.stderr)


def look_at_mirror():
    try:
        check_mirror(config["mirror"])
    except PatchprobeError as error:
        raise WorkflowError(str(error)) from None


def needless_libraries(rules_to_run):
    """What takes seconds to import and no job of this run asks for."""
    networks = any(entry["source"] != "pixels" for entry in config["models"].values())
    asked = {"timm": networks, "sklearn.cluster": "overclustering" in rules_to_run}
    return [library for library, wanted in asked.items() if not wanted]


def hold_folder():
    try:
        lock.hold(Path(".snakemake"))
    except PatchprobeError as error:
        raise WorkflowError(str(error)) from None


def lock_time():
    """When this run took its folder, by the clock of the file system."""
    return Path(".snakemake/patchprobe.lock").stat().st_mtime


def start_run():
    """Find what can be found wrong before the first job, and prepare for jobs."""
    if workflow.touch:
        raise WorkflowError(
            "--touch would call results finished that may not be; the records beside them say what is"
        )
    jobs = list(workflow.dag.needrun_jobs())
    made = {str(path) for job in jobs for path in job.output}
    given = {str(path) for job in jobs for path in job.input} - made
    try:
        preflight.check_folders([*made, *(str(path) for job in jobs for path in job.log)])
        # What is to be made gets a new time. That of the lock is the file system's own.
        preflight.check_times(given, now=max(time.time(), lock_time()))
        here = workflow.executor_plugin.common_settings.local_exec
        rules_to_run = {job.rule.name for job in jobs}

        if config["object_storage"]:
            objects.ObjectStorage(config["object_storage"], patience=5).check()
            mirror.check(config["object_storage"])
        if here and config["fork_jobs"]:
            # Its imports and the checks take some seconds each, side by side.
            forkserver.start(Path(".snakemake"), needless=needless_libraries(rules_to_run))
            forked.hand_over_first(PythonScript)
            forked.measure_no_memory(BenchmarkTimer)
        else:
            forkserver.forgo()
        preflight.check(config, device=config["device"] if here else "cpu", rules=rules_to_run)
        staging.clear()
        start_dask(here, rules_to_run)
        current[-1].begin(job.output[0] for job in jobs if job.output)
    except PatchprobeError as error:
        raise WorkflowError(str(error)) from None


def start_dask(here, rules):
    """Start the workers that evaluations of this run are spread over; jobs on other machines start their own there."""
    kind = config["dask"]["scheduler"]
    if preflight.spread_rules() & set(rules) and (
        kind == cluster.SLURM or (kind == cluster.DISTRIBUTED and here)
    ):
        cluster.announce(config["dask"], address=server.start(config["dask"], Path("logs/dask.log")))
        preflight.check_scheduler()


def end_run():
    """Note that all was made, and print where the time went; the stages are the files of rules."""
    current[-1].succeed()
    stages = {rule.name: Path(rule.snakefile).stem for rule in workflow.rules}
    times = stage_times.stage_times(Path("logs"), stages, since=STARTED)
    if times:
        print(stage_times.describe(times, time.time() - STARTED), file=sys.stderr)
    put_results()


def put_results(*, delete=True):
    """Put the results beside the stores on object storage, where there is one; also what a failed run has finished."""
    try:
        if config["object_storage"]:
            mirror.push(config["object_storage"], delete=delete)
    except PatchprobeError as error:
        raise WorkflowError(
            f"{error}; all is finished here, and `python -m patchprobe.run.mirror push {config['object_storage']}` puts it there"
        ) from None


def fail_run():
    """Name what failed, with the logs and how they end, also where Snakemake was told to be quiet."""
    # Where the plugin for SLURM is told to write, from the folder in which Snakemake was started; other executors have none.
    folder = getattr(workflow.executor_settings, "logdir", None)
    logs = Path(relpath(Path(workflow.workdir_init, folder))) if folder else None
    found = failures.failures(workflow.scheduler.failed, since=lock_time(), scheduler_logs=logs)
    if found:
        left = sum(1 for job in workflow.dag.needrun_jobs() if job.rule.name != "all") - len(found)
        print(failures.describe(found, left), file=sys.stderr)
    # Nothing is deleted there for a run that may have begun to replace it.
    if Path("results").exists():
        put_results(delete=False)
