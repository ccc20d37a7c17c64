"""Files about the project itself: versions, locks, citation, changelog, continuous integration, forms and the workflow catalogue."""

import re
import tomllib

import pytest
import yaml
from documents import ROOT, text
from packaging.requirements import Requirement

from patchprobe.config.validation import load_schema, validate

LOCKS = ["lock.txt", "slurm.txt", "cluster-generic.txt", "docs.txt", "bootstrap.txt"]
PYTHON = {
    "python_version": "3.11",
    "python_full_version": "3.11.9",
    "sys_platform": "linux",
    "platform_machine": "x86_64",
}


def test_version_is_one():
    """That of the package, of the citation, and of the changelog's topmost part, which is released if the citation has a date."""
    version = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]["version"]
    citation = yaml.safe_load(text(ROOT / "CITATION.cff"))
    topmost, date = re.search(r"^## \[(.+?)\] - (.+)$", text(ROOT / "CHANGELOG.md"), re.MULTILINE).groups()
    assert topmost == version == citation["version"]
    assert date == str(citation.get("date-released", "unreleased"))


def test_changelog_keeps_its_form():
    titles = re.findall(r"^##+ .+$", text(ROOT / "CHANGELOG.md"), re.MULTILINE)
    parts, kinds = [], []
    for title in titles:
        if title.startswith("## "):
            assert re.fullmatch(r"## \[\d+\.\d+\.\d+\] - (unreleased|\d{4}-\d\d-\d\d)", title), title
            parts, kinds = [*parts, title], []
        else:
            kind = title.removeprefix("### ")
            assert kind in {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}, title
            assert kind not in kinds, f"{parts[-1]} has {title} twice"
            kinds.append(kind)
    assert len(set(parts)) == len(parts) >= 1
    assert not any("unreleased" in title for title in parts[1:])


def test_citation_names_the_paper():
    paper = yaml.safe_load(text(ROOT / "CITATION.cff"))["preferred-citation"]
    assert paper["doi"].endswith("arXiv.2401.00463") and paper["url"].endswith("2401.00463")
    assert "2401.00463" in text(ROOT / "README.md") and paper["title"] in text(ROOT / "README.md")
    for author in paper["authors"]:
        assert f"{author['family-names']}, {author['given-names']}" in text(ROOT / "README.md")


def test_workflow_catalog_finds_the_workflow():
    """Its rules: these words and files; tests/workflow/test_catalog.py runs what lies in .test."""
    readme = text(ROOT / "README.md").lower()
    assert "snakemake" in readme and "workflow" in readme
    assert 'include: "../Snakefile"' in text(ROOT / "workflow/Snakefile")
    assert list((ROOT / "rules").glob("*.smk")) and (ROOT / "config/README.md").exists()
    usage = yaml.safe_load(text(ROOT / ".snakemake-workflow-catalog.yml"))["usage"]
    assert usage["software-stack-deployment"]["conda"] is True and usage["software-stack-deployment"]["report"] is True
    validate(
        yaml.safe_load(text(ROOT / ".test/config/config.yaml")), load_schema(ROOT / "config/schema/config.schema.yaml")
    )


def locked(name: str) -> dict[str, tuple[Requirement, int]]:
    """Packages of a lock file that hold for Python 3.11 on Linux, each with its number of hashes."""
    found = {}
    for entry in text(ROOT / "requirements" / name).replace("\\\n", " ").splitlines():
        if entry.strip():
            words, *hashes = entry.split("--hash=")
            requirement = Requirement(words)
            if requirement.marker is None or requirement.marker.evaluate(PYTHON):
                found[requirement.name] = (requirement, len(hashes))
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_hashes_and_no_address(name):
    content = text(ROOT / "requirements" / name)
    assert "://" not in content and " @ " not in content and "\n-" not in content
    entries = [line for line in content.replace("\\\n", " ").splitlines() if line.strip()]
    for entry in entries:
        assert re.search(r"==.*--hash=sha256:[0-9a-f]{64}", entry), entry[:80]


@pytest.mark.parametrize("environment", sorted(path.name for path in (ROOT / "envs").glob("*.yaml")))
def test_environments_have_the_pins_of_the_lock(environment):
    lock = locked("lock.txt")
    dependencies = yaml.safe_load(text(ROOT / "envs" / environment))["dependencies"]
    (pins,) = [part["pip"] for part in dependencies if isinstance(part, dict)]
    assert "python=3.11" in dependencies
    for pin in map(Requirement, pins):
        assert str(pin.specifier) == str(lock[pin.name][0].specifier), f"{environment}: {pin}"


def test_dependencies_are_locked():
    project = tomllib.loads(text(ROOT / "pyproject.toml"))
    lock = locked("lock.txt")
    for dependency in map(Requirement, project["project"]["dependencies"] + project["dependency-groups"]["dev"]):
        name = dependency.name.lower().replace("_", "-")
        version = str(lock[name][0].specifier).removeprefix("==")
        assert dependency.specifier.contains(version), dependency


def test_ci_runs_what_developers_run():
    lines = text(ROOT / ".ci/run").splitlines()
    assert lines[-2:] == ["make --jobs=4 --output-sync=target lint docs programs plugins", "make test"]
    jobs = yaml.safe_load(text(ROOT / ".github/workflows/ci.yml"))["jobs"]
    verbs = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert verbs == {name: [f"make {name}"] for name in ("lint", "test", "demo", "docs")}
    assert all(job["timeout-minutes"] and job["runs-on"] for job in jobs.values())


def test_actions_are_githubs_own_and_of_one_version():
    used = re.findall(r"uses: (\S+)", "".join(text(path) for path in sorted((ROOT / ".github").rglob("*.yml"))))
    versions = dict(action.split("@") for action in used if action != "./.github/actions/environment")
    assert set(used) == {"./.github/actions/environment", *(f"{name}@{version}" for name, version in versions.items())}
    assert all(name.startswith("actions/") for name in versions)


@pytest.mark.parametrize("form", sorted(ROOT.glob(".github/ISSUE_TEMPLATE/[!c]*.yml")), ids=lambda path: path.stem)
def test_issue_forms_are_whole(form):
    """What GitHub asks of a form, without which it shows none."""
    content = yaml.safe_load(text(form))
    assert content["name"] and content["description"]
    fields = [part for part in content["body"] if part["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields) == len({f["attributes"]["label"] for f in fields})
    for field in fields:
        assert field["type"] in {"input", "textarea", "dropdown", "checkboxes"}
        options = field["attributes"].get("options", [])
        assert bool(options) == (field["type"] in {"dropdown", "checkboxes"})
        labels = [option if field["type"] == "dropdown" else option["label"] for option in options]
        assert all(isinstance(label, str) for label in labels)


def test_profiles_say_what_rules_ask_for():
    """Rules that are written out; those in loops and all tables and figures have rows in words."""
    rows = {}
    for names, *cells in re.findall(
        r"^\| (`.+?) \| (\S+) \| (\S*) ?\| (\d+) \| (\d+) \|$", text(ROOT / "profiles/README.md"), re.MULTILINE
    ):
        rows |= dict.fromkeys(re.findall(r"`(\w+)`", names), cells)
    gpus = {"": "", "search_gpus": "searches", "extraction_gpus": "1", "network_gpus": "1"}
    rules = {}
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", text(path), re.MULTILINE):
            asked = {
                key: re.search(rf"^ +{key}[:=] ?(.+?),?$", body, re.MULTILINE) for key in ("threads", "gpu", "mem_mb")
            }
            if asked["mem_mb"] is None or name.endswith("_figure") or name == "model_table":
                continue
            threads = re.sub(r'min\((\d+), config\["threads"\]\)', r"\1", asked["threads"][1])
            threads = threads.replace('config["pretraining"]["threads"]', "`pretraining.threads`")
            gpu = gpus[asked["gpu"][1] if asked["gpu"] else ""]
            first = [re.search(rf"{key}=more\((\d+)\)", body)[1] for key in ("mem_mb", "runtime")]
            rules[name] = [threads, gpu, *first]
    assert len(rules) > 15
    assert rows == rules
