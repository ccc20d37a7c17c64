"""The SLURM profile on a running controller."""

import importlib.util
import shutil
import subprocess

import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.requires_slurm]


def _controller_answers() -> bool:
    if not shutil.which("scontrol"):
        return False
    return subprocess.run(["scontrol", "ping"], capture_output=True, timeout=30).returncode == 0


@pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None or not _controller_answers(),
    reason="needs a SLURM controller and the executor plugin (make slurm)",
)
def test_extraction_runs_as_a_slurm_job_with_its_gpu(project):
    shutil.rmtree(project.folder / "results/streets/features/pixels-a")
    profile = project.folder / "profiles/slurm/profile.yaml"
    quick = "slurm-init-seconds-before-status-checks: 2\nslurm-status-command: squeue\nlatency-wait: 5\n"
    profile.write_text(profile.read_text().replace("latency-wait: 30\n", quick))
    target = "results/streets/features/pixels-a/clean.manifest.json"
    text = project.snakemake(
        "--workflow-profile",
        "profiles/slurm",
        "--set-resources",
        "extract:mem_mb=1000",
        "--set-threads",
        "extract=1",
        "--",
        target,
    ).stdout
    assert "SLURM" in text and (project.folder / target).exists()
