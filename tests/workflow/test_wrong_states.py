"""Files and folders in a foreseeable wrong state: one line that names what is wrong and the remedy, no traceback."""

import os
import signal
import subprocess
import time

import pytest
from projects import TINY, environment, make_project

pytestmark = pytest.mark.workflow

FIGURE = "results/figures/class_iou.streets.svg"
NO_TEXT = bytes(range(128, 256))


def failure(project, *words):
    done = project.snakemake("--cores", "2", *words, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout, done.stdout
    return done.stdout


def mounted(project, commands, *words):
    """Run a line of Snakemake in a mount namespace of its own, which ordinary users may have too."""
    script = f'{commands} && cd "$PWD" && exec "$@"'
    return project.run(
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        *project.command("--cores", "2", *words),
    )


def errors(text):
    return [line for line in text.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize("moment", ["Using workflow specific profile", "jobid: "])
def test_control_c_leaves_no_traceback(project, moment):
    """While Snakemake starts and while it waits for jobs; the terminal sends it to all processes of the line."""
    command = project.command("--cores", "2", "--config", "fork_jobs=True", "--forceall", "--", FIGURE)
    began = time.time()
    run = subprocess.Popen(
        command,
        cwd=project.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # Tests that a shell started in the background are born deaf to it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    text = []
    for line in run.stdout:
        text.append(line)
        if moment in line:
            break
    if moment == "jobid: ":
        # Not while Snakemake hands jobs out inside its event loop, where it is its own affair: once one of them works.
        logs = project.folder / "logs"
        while run.poll() is None and not any(log.stat().st_mtime > began for log in logs.rglob("*.log")):
            time.sleep(0.05)
        time.sleep(2)
    os.killpg(run.pid, signal.SIGINT)
    text.append(run.communicate(timeout=100)[0])
    assert run.returncode != 0 and "Traceback" not in "".join(text), "".join(text)


def test_times_in_the_future_are_named_before_the_first_job_and_the_remedy_helps(project):
    """The clock was wrong once: results, what Snakemake keeps and benchmark files lie in the future."""
    tomorrow = time.time() + 86400
    (project.folder / "results/streets/labels.manifest.json").unlink()
    os.utime(project.folder / "results/streets/images.csv", (tomorrow, tomorrow))
    for path in [*project.folder.glob("logs/**/*.tsv"), *project.folder.glob(".snakemake/**/*")]:
        if path.suffix == ".tsv":
            path.write_bytes(NO_TEXT)
        os.utime(path, (tomorrow, tomorrow))
    target = "results/streets/labels.manifest.json"
    text = failure(project, target)
    (line,) = errors(text)
    assert "results/streets/images.csv lies in the future" in line and "correct the clock" in line
    assert "rule label:" not in text
    remedy = line.partition("set the time back (")[2].partition("), and run again")[0]
    subprocess.run(remedy, shell=True, cwd=project.folder, check=True)
    assert project.plan(target) == {"label streets": 1}
    text = project.snakemake("--cores", "2", target).stdout
    # Damaged benchmark files of other jobs are left out.
    assert "Traceback" not in text and "The run took" in text
    assert project.plan(target) == {}


LEAVES = {
    "results/streets/classes.csv": (b"split,id,name,images,pixels\ntrain,0,road", FIGURE),
    "results/streets/paired_differences.csv": (b"", "results/tables/paired_differences.csv"),
    "results/streets/capi/pixels-a.json": (b"[]", "results/tables/protocols.csv"),
    "results/streets/removal_sweep/pixels-b.parquet": (NO_TEXT, "results/tables/removal_sweep.csv"),
}
INNER = {
    "results/streets/features/pixels-a/card.json": (b"", "results/streets/features/pixels-a/clean.manifest.json"),
    "results/streets/probes/pixels-b.safetensors": (
        b"{}",
        "results/streets/patch_classification/pixels-b.clean.parquet",
    ),
}
INDEX = {"results/streets/images.csv": (b"image_id,split\n", "results/streets/labels.manifest.json")}


@pytest.mark.parametrize("damaged", [LEAVES, INNER, INDEX], ids=["leaves", "inner", "index"])
def test_damaged_results_are_named_and_made_again(project, damaged):
    whole = {path: (project.folder / path).read_bytes() for path in damaged}
    for path, (content, _) in damaged.items():
        (project.folder / path).write_bytes(content)
    targets = [target for _, target in damaged.values()]
    text = project.snakemake("--cores", "2", "--config", "fork_jobs=True", "threads=1", "--", *targets).stdout
    assert text.count("is stale: it was changed since it was made") == len(damaged)
    assert {path: (project.folder / path).read_bytes() for path in damaged} == whole


@pytest.mark.parametrize("path", [".snakemake", "logs", "results/figures"])
def test_file_in_the_place_of_a_folder_is_named(project, path):
    moved = project.folder / path
    (project.folder / FIGURE).unlink()
    moved.rename(project.folder / "moved")
    moved.write_text("")
    text = failure(project, FIGURE)
    (line,) = errors(text)
    assert path in line and "remove it and run again" in line and "rule class_iou_figure:" not in text


READ_ONLY = "mount --bind {0} {0} && mount -o remount,ro,bind {0}"


@pytest.mark.usefixtures("own_forkserver")
@pytest.mark.parametrize(
    ("mount", "what", "where"),
    [
        (READ_ONLY.format('"$PWD"'), "the file system is read-only", ".snakemake"),
        (READ_ONLY.format(".snakemake"), "the file system is read-only", ".snakemake"),
        (READ_ONLY.format("logs"), "the file system is read-only", "logs"),
        (READ_ONLY.format("results"), "cannot be written over", "results/figures/class_iou.streets.png"),
        (f"rm {FIGURE[:-3]}png && {READ_ONLY.format('results')}", "the file system is read-only", "results/figures"),
        ("mount -t tmpfs -o nr_inodes=3 tmpfs .snakemake", "the disk is full", ".snakemake"),
        ("mount -t tmpfs -o size=4k tmpfs .snakemake", "the disk is full", ".snakemake"),
        ("mount -t tmpfs -o nr_inodes=1 tmpfs logs", "the disk is full", "logs"),
        ("mount -t tmpfs -o size=4k tmpfs logs && echo > logs/full", "the disk is full", "logs"),
    ],
    ids=[
        "folder",
        "snakemake",
        "logs",
        "results",
        "no-results",
        "snakemake-inodes",
        "snakemake-full",
        "logs-inodes",
        "logs-full",
    ],
)
def test_place_that_takes_no_files_is_named_before_the_first_job(project, mount, what, where):
    (project.folder / FIGURE).unlink()
    done = mounted(project, mount, FIGURE)
    assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
    (line,) = errors(done.stdout)
    assert what in line and where in line and "run again" in line
    assert "rule class_iou_figure:" not in done.stdout
    assert not list(project.folder.rglob("*patchprobe-probe"))


@pytest.mark.usefixtures("own_forkserver")
@pytest.mark.parametrize(("blocks", "forked"), [(1, False), (24, False), (24, True)])
def test_limit_of_file_sizes_is_named(project, blocks, forked):
    """Of 512 or 1024 bytes a block: too little for any file of Snakemake, or for the figure alone."""
    (project.folder / FIGURE).unlink()
    words = project.command("--cores", "2", "--config", f"fork_jobs={forked}", "--", FIGURE)
    done = project.run("sh", "-c", 'ulimit -f "$0" && exec "$@"', str(blocks), *words)
    assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
    lines = errors(done.stdout)
    assert lines and all("a file would be larger than allowed" in line and "ulimit -f" in line for line in lines)


def test_a_project_is_read_with_its_own_library(repository, tmp_path):
    """The launcher belongs to another installation, whose library is already loaded when the project is read."""
    project = make_project(repository, tmp_path / "project", TINY)
    for module in ("errors", "analyses/paper_comparison/paper_values"):
        path = project.folder / f"src/patchprobe/{module}.py"
        path.write_text(f"{path.read_text()}\nprint('{module} of the copy')\n")
    text = project.snakemake("--cores", "1", "--dry-run").stdout
    assert "errors of the copy" in text and "analyses/paper_comparison/paper_values of the copy" in text


def test_nothing_of_a_moved_project_is_stale(repository, tmp_path):
    """The curves of packaged models lie in the checkout itself, which has another path now."""
    models = {"mae": {"registry": "demo-mae"}}
    project = make_project(repository, tmp_path / "before", TINY | {"models": models})
    target = "results/figures/training_of_models.svg"
    project.snakemake("--cores", "2", target)
    project.folder.rename(tmp_path / "after")
    project.folder = tmp_path / "after"
    assert project.plan(target) == {}
    curve = "src/patchprobe/weights/demo-mae.csv"
    loss = (project.folder / curve).read_text().split()[1].rsplit(",", 1)[1]
    project.edit(curve, f",{loss}\n", f",{float(loss) + 0.1}\n")
    assert project.plan(target) == {"training_of_models_figure": 1}
