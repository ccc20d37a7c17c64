"""The recipes for containers: their steps are lines of the README, and nothing of a checkout gets into an image that is made there."""

import re

import pytest
from documents import ROOT, shell_lines, text

README = ROOT / "README.md"


def docker_steps() -> list[str]:
    return re.findall(r"^RUN (.+)$", text(ROOT / "Dockerfile"), re.MULTILINE)


def apptainer_steps() -> list[str]:
    section = re.search(r"^%post\n((?:    .+\n)+)", text(ROOT / "apptainer.def"), re.MULTILINE)[1]
    return [line.strip() for line in section.splitlines() if line.strip() != "cd /patchprobe"]


@pytest.mark.parametrize("steps", [docker_steps, apptainer_steps])
def test_steps_are_those_of_the_readme(steps):
    lines = shell_lines(README)
    (first,) = [number for number, line in enumerate(lines) if line.startswith("apt-get ")]
    assert steps() == lines[first : first + 2]


def test_recipes_begin_and_end_alike():
    docker, apptainer = text(ROOT / "Dockerfile"), text(ROOT / "apptainer.def")
    assert re.search(r"^FROM (\S+)", docker, re.MULTILINE)[1] == re.search(r"^From: (\S+)", apptainer, re.MULTILINE)[1]
    path = "PATH=/patchprobe/.venv/bin:$PATH"
    assert f"ENV {path}\n" in docker and f"export {path}\n" in apptainer


def test_what_is_made_here_stays_out_of_the_image():
    """All that git ignores, in the forms of both files, but what is only a cache of a tool."""
    lines = [line.replace("!/", "!").strip("/") for line in text(ROOT / ".gitignore").splitlines()]
    ignored = {line for line in lines if "cache" not in line}
    kept_out = {line.strip("/").removeprefix("**/") for line in text(ROOT / ".dockerignore").splitlines()}
    assert ignored - kept_out == {".test/*", "!.test/config", "*.egg-info", ".hypothesis"}
