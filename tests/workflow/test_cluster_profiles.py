"""The profiles that hand jobs to a scheduler by its commands, with stand-ins for those of PBS, LSF, Grid Engine and Kubernetes.

A stand-in notes its words, reads its options as the real one does as far as the profile uses them, runs the job's script on
this machine, and answers in the real one's form. The first job that is sent is killed, as a scheduler does,
and the first question about each is not answered.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from projects import TINY, Project, make_project

pytestmark = pytest.mark.workflow
RESULT = "results/streets/images.csv"
SHARED = ("scheduler", "rerun-triggers", "rerun-incomplete", "nolock", "keep-going", "show-failed-logs")
# The start of each: `kept` is a folder, in which a job is a file with the state it has ended in.
KEPT = """\
#!{python}
import json, os, pathlib, re, subprocess, sys
kept = pathlib.Path({kept!r})
words = sys.argv[1:]
with (kept / "words").open("a") as file:
    file.write(json.dumps([pathlib.Path(sys.argv[0]).name, *words]) + "\\n")
def run(script):
    number = len(list(kept.glob("job-*"))) + 1
    ended = subprocess.run(["/bin/sh", script], stdout=subprocess.DEVNULL).returncode if number > 1 else 137
    (kept / f"job-{{number}}").write_text(str(ended))
    return number
def ended(job):
    number = re.sub("[^0-9]", "", job)
    asked = kept / f"asked-{{number}}"
    if not asked.exists():
        asked.touch()
        sys.exit("the server does not answer")
    return int((kept / f"job-{{number}}").read_text())
"""
PBS = {
    "qsub": 'print(f"{run(words[-1])}.server")\n',
    "qstat": 'assert words[:2] == ["-x", "-f"]\n'
    'print(f"Job Id: {words[2]}\\n    job_state = F\\n    Exit_status = {ended(words[2])}\\n    queue = main")\n',
}
LSF = {
    "bsub": 'print(f"Job <{run(words[-1])}> is submitted to default queue <normal>.")\n',
    "bjobs": 'assert words[:3] == ["-noheader", "-o", "stat"]\nprint("EXIT" if ended(words[3]) else "DONE")\n',
}
SGE = {
    "qsub": "print(run(words[-1]))\n",
    "qstat": 'sys.exit(f"Following jobs do not exist: {words[1]}")\n',
    "qacct": 'status = ended(words[1])\nprint(f"failed       {100 if status else 0}\\nexit_status  {status}")\n',
}
KUBERNETES = {
    "kubectl": """\
if words[0] == "create":
    import yaml
    asked = sys.stdin.read()
    (kept / "manifest").open("a").write(asked + "\\n---\\n")
    (container,) = yaml.safe_load(asked)["spec"]["template"]["spec"]["containers"]
    print(f"job.batch/patchprobe-{run(container['command'][-1])}")
else:
    assert words[0] == "get" and words[2] == "-o"
    assert words[3] == "jsonpath={.status.succeeded}:{.status.failed}"
    print(":1" if ended(words[1]) else "1:", end="")
"""
}


@dataclass
class Scheduler:
    """What a profile needs, and what its stand-ins are to be told of a first and a second submission."""

    programs: dict[str, str]
    first: tuple[str, ...]
    second: tuple[str, ...]


SCHEDULERS = {
    "pbs": Scheduler(
        PBS,
        ("select=1:ncpus=1:mem=2000mb:ngpus=0", "walltime=1:0:00"),
        ("select=1:ncpus=1:mem=4000mb:ngpus=0", "walltime=2:0:00"),
    ),
    "lsf": Scheduler(
        LSF,
        ("-n", "1", "span[hosts=1] rusage[mem=2000MB]", "-M", "2000MB", "-W", "60"),
        ("-n", "1", "span[hosts=1] rusage[mem=4000MB]", "-M", "4000MB", "-W", "120"),
    ),
    "sge": Scheduler(
        SGE, ("-pe", "smp", "1", "h_vmem=2000M", "h_rt=3600"), ("-pe", "smp", "1", "h_vmem=4000M", "h_rt=7200")
    ),
    "kubernetes": Scheduler(KUBERNETES, (), ()),
}


@pytest.fixture(scope="module")
def programs(repository) -> Path:
    folder = repository / ".venv-cluster-generic/bin"
    if not (folder / "snakemake").exists():
        pytest.fail("there is no environment with the plugin for other schedulers: make cluster-generic")
    return folder


@pytest.mark.parametrize("name", SCHEDULERS)
def test_jobs_are_sent_and_a_killed_one_again_with_more(repository, programs, tmp_path, name):
    scheduler = SCHEDULERS[name]
    kept, commands = tmp_path / "kept", tmp_path / "bin"
    kept.mkdir()
    commands.mkdir()
    for program, text in scheduler.programs.items():
        (commands / program).write_text(KEPT.format(python=sys.executable, kept=str(kept)) + text)
        (commands / program).chmod(0o755)
    yours = {"PATCHPROBE_IMAGE": "registry/patchprobe:1", "PATCHPROBE_MOUNT": "/shared", "PATCHPROBE_CLAIM": "home"}
    path = f"{commands}{os.pathsep}{programs}{os.pathsep}{os.environ['PATH']}"
    project = make_project(repository, tmp_path / "project", TINY | {"threads": 1})
    project = Project(project.folder, programs, yours | {"PATH": path})
    quick = ("--seconds-between-status-checks", "1", "--latency-wait", "5")
    text = project.snakemake("--workflow-profile", f"profiles/{name}", *quick, "--", RESULT).stdout
    assert (project.folder / RESULT).exists()
    assert text.count("Error in rule index") >= 1 and "1 of 1 steps (100%) done" in text
    words = [json.loads(line) for line in (kept / "words").read_text().splitlines()]
    sent = [line for line in words if line[0] in ("qsub", "bsub", "kubectl") and "get" not in line]
    assert len(sent) == 2
    for line, asked in zip(sent, (scheduler.first, scheduler.second), strict=True):
        assert all(any(part in word for word in line) for part in asked), line
    if name == "kubernetes":
        check_manifests(kept / "manifest")


def check_manifests(file: Path) -> None:
    for manifest, times in zip(filter(None, yaml.safe_load_all(file.read_text())), (1, 2), strict=True):
        pod = manifest["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        memory = f"{2000 * times}M"
        assert container["resources"]["limits"] == {"memory": memory, "nvidia.com/gpu": "0"}
        assert container["resources"]["requests"] == {"cpu": "1", "memory": memory}
        assert manifest["spec"]["activeDeadlineSeconds"] == 3600 * times
        assert container["image"] == "registry/patchprobe:1" and manifest["spec"]["backoffLimit"] == 0
        assert container["envFrom"] == [{"secretRef": {"name": "patchprobe", "optional": True}}]
        assert container["volumeMounts"] == [{"name": "shared", "mountPath": "/shared"}]
        assert pod["volumes"] == [{"name": "shared", "persistentVolumeClaim": {"claimName": "home"}}]


def test_profiles_agree_where_sites_do_not_differ(repository):
    profiles = {
        path.parent.name: yaml.safe_load(path.read_text()) for path in repository.glob("profiles/*/profile.yaml")
    }
    assert profiles.keys() == {"default", "slurm", *SCHEDULERS}
    for key in SHARED:
        assert len({json.dumps(profile[key]) for profile in profiles.values()}) == 1, key
    for name in profiles.keys() - {"default"}:
        assert (profiles[name]["retries"], profiles[name]["latency-wait"], profiles[name]["jobs"]) == (2, 30, 100)
