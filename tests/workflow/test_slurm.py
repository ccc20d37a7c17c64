"""The profile for SLURM on a real SLURM of one node, which is started for these tests.

The whole demo, made small, and a run whose jobs are ended in every way work at the same time: the latter mostly waits.
"""

import json
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import slurm_node
from disturbance.comparison import differences, digests
from projects import Project, make_project
from small_demo import small_demo

from patchprobe.files import locked

pytestmark = [pytest.mark.workflow, pytest.mark.requires_slurm, pytest.mark.timeout(1800)]
SLURM = ("--workflow-profile", "profiles/slurm")
QUICK = ("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5")
# Of the demo: all four data sets, and the rules of every stage.
TABLES = [
    *(f"results/tables/{name}.csv" for name in ("patch_classification", "patch_retrieval", "tracking")),
    *(f"results/tables/{name}.csv" for name in ("image_knn", "reconstruction")),
    "results/figures/robustness.streets.svg",
]
SHOWN = ("_table", "_figure", "_sheet", "_page")
SINGLE = {"all", "fetch_checkpoint", "fetch_data"}
# Rules whose jobs are ended in this way, of a model with a finished run, and one that asks for a kind of GPU.
CANCELLED, TOO_LONG, TOO_LARGE, NEVER_ENOUGH, TYPED = "layers", "training_size", "removal_sweep", "capi", "extract"
ENDED = [CANCELLED, TOO_LONG, TOO_LARGE, NEVER_ENOUGH]
ASKED = (
    f"{TOO_LONG}:runtime=attempt",
    f"{TOO_LARGE}:mem_mb=40*100**(attempt-1)",
    f"{NEVER_ENOUGH}:mem_mb=40",
    f"{TYPED}:gpu_model=h100",
    f"{TYPED}:slurm_partition=gpus",
)
TOKENS = "results/streets/features/pixels-b/clean.manifest.json"


def measured(rule: str) -> str:
    return f"results/streets/{rule}/pixels-a.parquet"


@dataclass
class Cluster:
    """The node, and how projects get there."""

    node: slurm_node.Node
    programs: Path

    def of(self, project: Project) -> Project:
        variables = {name: self.node.environment[name] for name in ("SLURM_CONF", "PATH")}
        return Project(project.folder, self.programs, variables, patience=1500)

    def await_job(self, rule: str, *states: str) -> str:
        """The number of a job of a rule once it is in one of the states."""
        end = time.monotonic() + 240
        while not (found := self.node.jobs(f"rule_{rule}_", *states)):
            assert time.monotonic() < end, f"no job of {rule} came to be {states}"
            time.sleep(0.5)
        return found[0]


@pytest.fixture(scope="module")
def cluster(repository) -> Iterator[Cluster]:
    programs = repository / ".venv-slurm/bin"
    if not (programs / "snakemake").exists():
        pytest.skip("there is no environment with the plugin for SLURM: make slurm")
    if missing := slurm_node.missing():
        pytest.skip(f"SLURM is not installed, there is no {', '.join(missing)}: make slurm-node")
    with slurm_node.running() as node:
        yield Cluster(node, programs)


@pytest.fixture(scope="module")
def undisturbed(finished) -> dict[str, bytes]:
    return {path: (finished.folder / path).read_bytes() for path in [*map(measured, ENDED), TOKENS]}


@pytest.fixture(scope="module")
def disturbed(finished, cluster, tmp_path_factory) -> Iterator[Future[tuple[Project, str]]]:
    """A run, at work, with jobs that are cancelled, take too long, or too much memory; it ends as its project and what it printed."""
    project = cluster.of(finished.copy(tmp_path_factory.mktemp("disturbed") / "project"))
    with ThreadPoolExecutor() as threads:
        yield threads.submit(_disturb, project, cluster)


def _disturb(project: Project, cluster: Cluster) -> tuple[Project, str]:
    for rule in ENDED:
        (project.folder / measured(rule)).unlink()
    shutil.rmtree(project.folder / TOKENS.replace(".manifest.json", ".zarr"))
    words = [
        *SLURM,
        *QUICK,
        "--retries",
        "1",
        "--config",
        "threads=1",
        "--set-resources",
        *ASKED,
        "--",
        *map(measured, ENDED),
        TOKENS,
    ]
    with ThreadPoolExecutor() as threads, ExitStack() as long, ExitStack() as cancelled:
        long.enter_context(kept_waiting(project, measured(TOO_LONG)))
        cancelled.enter_context(kept_waiting(project, measured(CANCELLED)))
        run = threads.submit(project.snakemake, *words, check=False)
        await_waiting(project, CANCELLED)
        cluster.node.ask("scancel", cluster.await_job(CANCELLED, "RUNNING"))
        cluster.await_job(CANCELLED, "CANCELLED")
        cancelled.close()
        cluster.await_job(TOO_LONG, "TIMEOUT")
        long.close()
        return project, run.result().stdout


def kept_waiting(project: Project, result: str) -> AbstractContextManager[bool]:
    """Let the job that makes a result again wait, as for a job of an earlier run that still makes it."""
    record = json.loads((project.folder / "results/.records" / f"{result.removeprefix('results/')}.json").read_text())
    path = project.folder / result
    lock = path.parent / ".partial" / f"{path.name}~{record['recipe']}.lock"
    lock.parent.mkdir(exist_ok=True)
    return locked(lock)


def await_waiting(project: Project, rule: str) -> None:
    """Return once the job itself has begun, on the node, and waits."""
    log, end = project.folder / f"logs/{rule}/streets.pixels-a.log", time.monotonic() + 240
    while not log.exists() or "waiting for that job to end" not in log.read_text():
        assert time.monotonic() < end, f"the job of {rule} did not begin"
        time.sleep(0.5)


def said_of(rule: str, text: str) -> str:
    """What the list of failures at the end of a run says of a job."""
    _, _, listed = text.rpartition("failed:\n")
    match = re.search(rf"^  {rule} .*\n((?:    .*\n)+)", listed, re.MULTILINE)
    return match[0] if match else ""


def test_demo_ends_in_the_tables_of_a_local_run(repository, cluster, disturbed, tmp_path):
    """All four data sets, a model with a variant, and the rules of every stage; whole data sets are one job each."""
    local = make_project(repository, tmp_path / "local", small_demo(repository))
    remote = cluster.of(local.copy(tmp_path / "remote"))
    rules = set(re.findall(r"^[a-z_]+$", local.snakemake("--list-rules").stdout, re.MULTILINE)) - SINGLE
    groups = [f"{rule}={'show' if rule.endswith(SHOWN) else 'measure'}" for rule in sorted(rules)]
    # Limits of a group: what its jobs ask for at a time.
    limits = ("--group-components", "show=30", "--resources", "mem_mb=16000")
    sent = remote.snakemake(*SLURM, *QUICK, "--groups", *groups, *limits, "--", *TABLES).stdout
    assert "group_measure_" in sent and "53 of 53 steps (100%) done" in sent
    local.snakemake("--cores", "2", "--", *TABLES)
    right = digests(local.folder / "results")
    assert sum(name.startswith("tables/") for name in right) == 20
    assert not differences(remote.folder / "results", right)


def test_ended_jobs_are_sent_again_with_more(disturbed, undisturbed, cluster):
    project, text = disturbed.result()
    for rule in (CANCELLED, TOO_LONG, TOO_LARGE):
        first, second = cluster.node.jobs(f"rule_{rule}_wildcards_streets_pixels-a")
        assert (project.folder / measured(rule)).read_bytes() == undisturbed[measured(rule)]
        assert f"SLURM-job '{first}' failed" in text and f"SLURM-job '{second}' failed" not in text
        assert not said_of(rule, text)


def test_what_fails_each_time_is_named_with_its_rule_log_and_reason(disturbed, cluster):
    project, text = disturbed.result()
    assert "1 job failed" in text
    said = said_of(NEVER_ENOUGH, text)
    last = cluster.node.jobs(f"rule_{NEVER_ENOUGH}_")[-1]
    log = f"logs/slurm/rule_{NEVER_ENOUGH}/streets_pixels-a/{last}.log"
    assert f"{NEVER_ENOUGH} (dataset=streets, model=pixels-a)" in said
    assert f"log: logs/{NEVER_ENOUGH}/streets.pixels-a.log" in said
    assert f"log of the scheduler: {log}" in said and (project.folder / log).exists()
    assert "exceeded memory limit" in said


def test_a_job_gets_the_kind_of_gpu_and_the_partition_that_are_asked_for(disturbed, undisturbed, cluster):
    project, _ = disturbed.result()
    (job,) = cluster.node.jobs(f"rule_{TYPED}_wildcards_streets_pixels-b", "COMPLETED")
    described = cluster.node.ask("scontrol", "show", "job", job)
    assert "Partition=gpus" in described and "TresPerJob=gres:gpu:h100:1" in described
    assert (project.folder / TOKENS).read_bytes() == undisturbed[TOKENS]


def test_a_job_outlives_the_daemon_of_its_node(disturbed, undisturbed, cluster, finished, tmp_path):
    """The daemon is killed and comes back: SLURM gives the job up, and it is sent again."""
    disturbed.result()
    project = cluster.of(finished.copy(tmp_path / "project"))
    result = measured(CANCELLED)
    (project.folder / result).unlink()
    before = cluster.node.jobs(f"rule_{CANCELLED}_")
    with ThreadPoolExecutor() as threads, ExitStack() as waiting:
        waiting.enter_context(kept_waiting(project, result))
        run = threads.submit(project.snakemake, *SLURM, *QUICK, "--config", "threads=1", "--", result)
        job = cluster.await_job(CANCELLED, "RUNNING")
        await_waiting(project, CANCELLED)
        cluster.node.kill_daemon()
        cluster.await_job(CANCELLED, "NODE_FAIL")
        cluster.node.start_daemon()
        waiting.close()
        text = run.result().stdout
    after = [number for number in cluster.node.jobs(f"rule_{CANCELLED}_") if number not in before]
    assert after[0] == job and len(after) == 2
    assert f"SLURM-job '{job}' failed due to a node failure" in text
    assert (project.folder / result).read_bytes() == undisturbed[result]


def test_any_submit_command_does(cluster, finished, undisturbed, repository, tmp_path):
    """The plugin and options of the profiles for other schedulers, with SLURM's commands as a site would write them."""
    programs = repository / ".venv-cluster-generic/bin"
    if not (programs / "snakemake").exists():
        pytest.skip("there is no environment with the plugin for other schedulers: make cluster-generic")
    project = finished.copy(tmp_path / "project")
    project = replace(cluster.of(project), programs=programs)
    result = measured(TOO_LARGE)
    (project.folder / result).unlink()
    submit = (
        "sbatch --parsable --job-name {name} --comment generic_{name} --output logs/{name}.{jobid}.out"
        " --cpus-per-task {threads} --mem {resources.mem_mb} --time {resources.runtime} --gpus {resources.gpu}"
    )
    status = (
        'sh -c \'case "$(squeue --noheader --states all --format %T --job "$0")" in'
        " COMPLETED) echo success;; RUNNING|PENDING|COMPLETING|CONFIGURING) echo running;; *) echo failed;; esac'"
    )
    commands = ["--cluster-generic-submit-cmd", submit, "--cluster-generic-status-cmd", status]
    commands += [
        "--cluster-generic-cancel-cmd",
        "scancel",
        "--seconds-between-status-checks",
        "1",
        "--latency-wait",
        "5",
    ]
    more = ["--config", "threads=1", "--set-resources", f"{TOO_LARGE}:mem_mb=40*100**(attempt-1)"]
    project.snakemake("--workflow-profile", "profiles/pbs", *commands, *more, "--", result)
    assert len(cluster.node.jobs(f"generic_{TOO_LARGE}")) == 2
    assert (project.folder / result).read_bytes() == undisturbed[result]


def test_settings_of_a_site_are_understood(cluster, finished, tmp_path):
    """What the profile holds as remarks, as it stands there."""
    project = cluster.of(finished.copy(tmp_path / "project"))
    profile = project.folder / "profiles/slurm/profile.yaml"
    remarks = re.compile(r"^#( *- [a-z_]+(?::[a-z_]+)?=.*| ?set-\w+:)$", re.MULTILINE)
    profile.write_text(remarks.sub(lambda match: re.sub("^ (?=set|  -)", "", match[1]), profile.read_text()))
    # Without --cores a dry run shows one thread for each job.
    text = project.snakemake(*SLURM, "--cores", "8", "--dry-run", "--forcerun", "extract", "--", TOKENS).stdout
    assert "threads: 4" in text
    for asked in ("slurm_partition=gpus", "slurm_account=project", "gpu_model=a100", "mem_mb=32000", "gpu=1"):
        assert asked in text, asked
