"""What one call of Snakemake does besides its jobs: before it decides about them, before the first, and after the last.

Snakemake has no place for hooks between the graph of jobs and the decision about them, so :meth:`Call.take_part` wraps
functions of its own.
"""

import atexit
import sys
import tempfile
import time
from collections.abc import Mapping, Set
from os.path import relpath
from pathlib import Path
from typing import Any

from snakemake.benchmark import BenchmarkTimer
from snakemake.dag import DAG
from snakemake.exceptions import WorkflowError
from snakemake.io import is_flagged
from snakemake.persistence import PersistenceBase
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.script import PythonScript
from snakemake.settings.enums import RerunTrigger

from patchprobe.analyses.declaring import of_the_paper
from patchprobe.config import downloads, inputs
from patchprobe.downloads.addresses import check_mirror, without_secrets
from patchprobe.errors import PatchprobeError
from patchprobe.run import (
    failures,
    forked,
    forkserver,
    lock,
    mirror,
    planning,
    preflight,
    provenance,
    rounds,
    stage_times,
)
from patchprobe.run.unmade import unmade
from patchprobe.spreading import cluster, server, staging
from patchprobe.stores import objects

_NOTES = Path(".snakemake")


class Call:
    """One call: Snakemake's object ``workflow`` and the validated ``config``.

    Its methods raise WorkflowError, which Snakemake prints without a traceback.
    """

    def __init__(self, workflow: Any, config: Mapping[str, Any]) -> None:
        self._workflow, self._config = workflow, config
        self._began = time.time()
        self._planning: planning.Planning | None = None
        provenance.recall(provenance.KNOWN_CODE)

    def take_part(self) -> None:
        """Wrap Snakemake's functions; parsed twice in one process, this wraps them again and not the wrappers."""
        snakemakes_init = getattr(DAG.init, "wrapped", DAG.init)
        snakemakes_check = getattr(DAG.check_incomplete, "wrapped", DAG.check_incomplete)
        snakemakes_clean = getattr(DAG.clean, "wrapped", DAG.clean)
        snakemakes_inputs = getattr(PersistenceBase._input, "wrapped", PersistenceBase._input)

        async def init(dag: Any, *options: Any, **others: Any) -> None:
            """Snakemake's own search for jobs, which says of a target that no rule makes its name and no more."""
            if self._workflow.is_main_process:
                _in_one_line(preflight.check_targets, dag.targetfiles, self._config)
            await snakemakes_init(dag, *options, **others)

        async def check_incomplete(dag: Any) -> None:
            """Snakemake's own check, after which it decides what to run."""
            await snakemakes_check(dag)
            await self._decide(dag)

        async def clean(dag: Any, *options: Any, dryrun: bool = False, **others: Any) -> None:
            """Snakemake's --delete-all-output, but not in a folder in which a run works."""
            if not dryrun:
                _hold_folder()
            await snakemakes_clean(dag, *options, dryrun=dryrun, **others)

        def recorded_inputs(persistence: Any, job: Any) -> list[Any]:
            """Snakemake's own list of a job's inputs, which it compares with the last time, without those that are prepared."""
            left_out = {str(path) for path in job.input if is_flagged(path, planning.PREPARED)}
            return [path for path in snakemakes_inputs(persistence, job) if str(path) not in left_out]

        wrappers: list[tuple[Any, Any]] = [
            (init, snakemakes_init),
            (check_incomplete, snakemakes_check),
            (clean, snakemakes_clean),
            (recorded_inputs, snakemakes_inputs),
        ]
        for wrapper, original in wrappers:
            wrapper.wrapped = original
        DAG.init, DAG.check_incomplete, DAG.clean = init, check_incomplete, clean
        PersistenceBase._input = recorded_inputs
        rounds.one_timer(JobScheduler)

    async def _decide(self, dag: Any) -> None:
        """Force what the records say is not as planned."""
        workflow = self._workflow
        if workflow.is_main_process:
            # Before anything is decided, so that no other run changes what the decision rests on.
            if workflow.executor_plugin is not None and not workflow.dryrun:
                _hold_folder()
            wrong = await unmade(dag)
            if wrong:
                raise WorkflowError(wrong)
            # Of this machine, where files are fetched; machines that jobs are sent to may lack the folder.
            if any(job.rule.name in ("fetch_data", "fetch_checkpoint") for job in dag.jobs):
                _in_one_line(check_mirror, self._config["mirror"])
            self._planning = planning.Planning(dag)
            provenance.remember(provenance.KNOWN_CODE)
            if workflow.dryrun:
                self._say_what_is_of_the_paper(dag)
                self._say_what_would_be_fetched(dag)
            else:
                self._say_what_is_put_there_by_hand(dag)
            # Who leaves params out of the triggers wants results kept whatever made them.
            dag.forcefiles.update(self._planning.forced(RerunTrigger.PARAMS in workflow.rerun_triggers))
        elif self._config["fork_jobs"] and len(workflow.dag_settings.target_jobs) > 1:
            # On a cluster's node, where a group was sent as one job: what starts its jobs one by one.
            folder = tempfile.TemporaryDirectory(prefix="patchprobe-")
            atexit.register(folder.cleanup)
            forkserver.start(Path(folder.name))

    def _say_what_is_of_the_paper(self, dag: Any) -> None:
        """Say which tables and figures of the paper the asked files are, by number."""
        asked = {str(path) for job in dag.jobs for path in job.output}
        for title, analysis, what in of_the_paper():
            patterns = list(analysis.shown_paths(what).values())
            datasets = self._config["datasets"]
            paths = {pattern.replace("{dataset}", name) for pattern in patterns for name in datasets} & asked
            if paths:
                print(f"of the paper, {title}: {', '.join(sorted(paths))}", file=sys.stderr)

    def _say_what_would_be_fetched(self, dag: Any) -> None:
        """Say which data sets, and how large, and which weights are fetched, or have to be there, for the asked files."""
        asked = {str(path) for job in dag.jobs for path in job.output}
        for name, release in downloads.to_fetch(self._config).items():
            if asked & set(downloads.marker(self._config, name)):
                print(f"would fetch {downloads.described(self._config, name, release)}", file=sys.stderr)
        for job in dag.jobs:
            if job.rule.name == "inspect_model":
                entry = self._config["models"][job.wildcards.model]
                if entry["source"] == "timm" and not entry["checkpoint"]:
                    print(
                        f"would take the weights of {job.wildcards.model} from timm's hub or its cache", file=sys.stderr
                    )
        for file, wanted in self._absent_weights(dag).items():
            if address := wanted["mirror"] or wanted["url"]:
                print(f"would fetch {file} from {without_secrets(address)}", file=sys.stderr)
            else:
                print(f"would need {file}, to be put there by hand (docs/models.md)", file=sys.stderr)

    def _say_what_is_put_there_by_hand(self, dag: Any) -> None:
        """Name the weights that no address is known of, at whose jobs the run is going to end, before anything is fetched."""
        for file, wanted in self._absent_weights(dag).items():
            if not (wanted["mirror"] or wanted["url"]):
                print(
                    f"{file} of models.{wanted['model']} is not there and cannot be fetched: put it there by hand (docs/models.md says "
                    "where it is), or take the model out",
                    file=sys.stderr,
                )

    def _absent_weights(self, dag: Any) -> dict[str, Mapping[str, Any]]:
        """Return by file what is known of the weights that are asked for and are not there."""
        jobs = [job for job in dag.jobs if job.rule.name == "fetch_checkpoint"]
        return {str(job.output[0]): inputs.fetched(self._config, job.wildcards.checkpoint) for job in jobs}

    def start(self) -> None:
        """Find what can be found wrong before the first job, and prepare for jobs."""
        _in_one_line(self._prepare, list(self._workflow.dag.needrun_jobs()))

    def _prepare(self, jobs: list[Any]) -> None:
        config = self._config
        if self._workflow.touch:
            raise PatchprobeError(
                "--touch would call results finished that may not be: leave it out; each manifest.json says what is"
            )
        made = {str(path) for job in jobs for path in job.output}
        given = {str(path) for job in jobs for path in job.input} - made
        preflight.check_folders([*made, *(str(path) for job in jobs for path in job.log)])
        # What is to be made gets a new time. That of the lock is the file system's own.
        preflight.check_times(given, now=max(time.time(), _lock_time()))
        here = self._workflow.executor_plugin.common_settings.local_exec
        rules = {job.rule.name for job in jobs}
        if config["object_storage"]:
            objects.ObjectStorage(config["object_storage"], patience=5, longest=10).check()
            mirror.check(config["object_storage"])
        if here and config["fork_jobs"]:
            # Its imports and the checks take some seconds each, side by side.
            forkserver.start(_NOTES, needless=self._needless_libraries(rules))
            forked.hand_over_first(PythonScript)
            forked.measure_no_memory(BenchmarkTimer)
        else:
            forkserver.forgo()
        preflight.check(config, device=config["device"] if here else "cpu", rules=rules)
        staging.clear()
        self._start_dask(here, rules)
        if self._planning is not None:
            self._planning.begin(job.output[0] for job in jobs if job.output)

    def _needless_libraries(self, rules: Set[str]) -> list[str]:
        """Return what takes seconds to import and no job of this run asks for."""
        networks = any(entry["source"] != "pixels" for entry in self._config["models"].values())
        asked = {"timm": networks, "sklearn.cluster": "overclustering" in rules}
        return [library for library, wanted in asked.items() if not wanted]

    def _start_dask(self, here: bool, rules: Set[str]) -> None:
        """Start the workers that evaluations of this run are spread over; jobs on other machines start their own there."""
        kind = self._config["dask"]["scheduler"]
        if preflight.spread_rules() & rules and (kind == cluster.SLURM or (kind == cluster.DISTRIBUTED and here)):
            cluster.announce(self._config["dask"], address=server.start(self._config["dask"], Path("logs/dask.log")))
            preflight.check_scheduler()

    def end(self) -> None:
        """Note that all was made, and print where the time went; the stages are the files of rules."""
        if self._planning is not None:
            self._planning.succeed()
        stages = {rule.name: Path(rule.snakefile).stem for rule in self._workflow.rules}
        times = stage_times.stage_times(Path("logs"), stages, since=self._began)
        if times:
            print(stage_times.describe(times, time.time() - self._began), file=sys.stderr)
        self._put_results()

    def fail(self) -> None:
        """Name what failed, with the logs and how they end, also where Snakemake was told to be quiet."""
        workflow = self._workflow
        # Where the plugin for SLURM is told to write, from the folder in which Snakemake was started; other executors have none.
        folder = getattr(workflow.executor_settings, "logdir", None)
        logs = Path(relpath(Path(workflow.workdir_init, folder))) if folder else None
        found = failures.failures(workflow.scheduler.failed, since=_lock_time(), scheduler_logs=logs)
        if found:
            left = sum(1 for job in workflow.dag.needrun_jobs() if job.rule.name != "all") - len(found)
            print(failures.describe(found, left), file=sys.stderr)
        # Nothing is deleted there for a run that may have begun to replace it.
        if Path("results").exists():
            self._put_results(delete=False)

    def _put_results(self, *, delete: bool = True) -> None:
        """Put the results beside the stores on object storage, where there is one; also what a failed run has finished."""
        address = self._config["object_storage"]
        if not address:
            return
        try:
            mirror.push(address, delete=delete)
        except PatchprobeError as error:
            raise WorkflowError(
                f"{error}; all is finished here, and `python -m patchprobe.run.mirror push {address}` puts it there"
            ) from None


def _hold_folder() -> None:
    _in_one_line(lock.hold, _NOTES)


def _lock_time() -> float:
    """Return when this run took its folder, by the clock of the file system."""
    return (_NOTES / "patchprobe.lock").stat().st_mtime


def _in_one_line(do: Any, *arguments: Any) -> None:
    try:
        do(*arguments)
    except PatchprobeError as error:
        raise WorkflowError(str(error)) from None
