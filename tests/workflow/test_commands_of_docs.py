"""The lines of shell in README and docs, as they stand there: those of Snakemake as dry runs, in the order of their pages."""

import re
import shlex

import pytest
import yaml
from documents import PAGES, ROOT, blocks, shell_lines
from projects import TINY, Project, make_project

pytestmark = pytest.mark.workflow
# What the pages add to a configuration before they call for it.
ADDED = {"my-vit": {"source": "random", "architecture": "vit_tiny_patch16_224", "arguments": {"patch_size": 8}}}
# By their beginnings. tests/unit/test_docs.py looks at names of verbs, modules, programs and options in all lines.
NOT_TRIED = {
    r"\. \.venv(-\S+)?/bin/activate": "tests run in the environment",
    r"(apt-get|docker|apptainer) ": "changes the machine or needs an engine; tests/unit/test_containers.py compares the steps",
    r"tmux ": "does not end",
    r"git (clone|tag)": "needs an address, or makes a release",
    r"make ": "a verb, which takes minutes or changes the environment",
    r"(less|ls) results/": "shows what a whole run has made; that rules make it is tested",
    r"python -m (benchmarks|pytest|patchprobe\.pretraining)": "takes minutes, or what a run of hours has made",
    r"dask ": "does not end; tests/workflow/test_cluster_run.py starts a cluster",
    r"python -m patchprobe\.run\.mirror": "needs object storage; tests/workflow/test_runs_on_object_storage.py runs it",
    r"snakemake .*--report ": "needs a whole run; tests/workflow/test_report.py makes a report",
    r"snakemake .*--workflow-profile profiles/(slurm|mine|pbs)": "needs a plugin; test_slurm.py and test_cluster_profiles.py run it",
    r"snakemake .*--configfile config/paper\.yaml": "tests/workflow/test_paper.py plans it",
}
REFUSED = {"snakemake --cores 8 --config sed=1": "unknown key sed: did you mean seed?"}
LINES = list(dict.fromkeys(line for page in PAGES for line in shell_lines(page)))
TRIED = [line for line in LINES if not any(re.match(pattern, line) for pattern in NOT_TRIED)]


@pytest.fixture(scope="module")
def project(repository, tmp_path_factory) -> Project:
    project = make_project(
        repository, tmp_path_factory.mktemp("docs") / "project", TINY | {"models": TINY["models"] | ADDED}
    )
    (example,) = [block for block in blocks(ROOT / "docs/image-knn.md", "yaml") if "datasets" in yaml.safe_load(block)]
    (project.folder / "my.yaml").write_text(example)
    return project


@pytest.mark.parametrize("line", TRIED)
def test_line_is_understood(project, line):
    alone = re.fullmatch(r"snakemake ([^|&;<>$*`]+)", line)
    start = re.match(r"((?:\w+=\S+ )*snakemake) ", line)
    words = f"{start[1]} --dry-run --quiet {line[start.end() :]}" if start else line
    if alone:
        done = project.snakemake("--dry-run", "--quiet", *shlex.split(alone[1], comments=True), check=False)
    else:
        done = project.run("bash", "-euc", words)
    if line in REFUSED:
        assert done.returncode and REFUSED[line] in done.stdout
    else:
        assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}"


def test_every_exception_is_one_of_a_line():
    for pattern in NOT_TRIED:
        assert any(re.match(pattern, line) for line in LINES), pattern
    assert set(REFUSED) <= set(TRIED) and len(TRIED) > 12
