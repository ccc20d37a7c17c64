"""The house: which package may import which, and packages that hold nothing of their own."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from patchprobe.analyses.declaring import analyses
from patchprobe.run.provenance import Sources

SOURCE = Path(__file__).resolve().parents[2] / "src"
PACKAGE = SOURCE / "patchprobe"
# Each may import what stands before it; "" are the modules that lie in no package.
FLOORS = (
    "",
    "spreading",
    "stores",
    "downloads",
    "neighbors",
    "corruptions",
    "models",
    "datasets",
    "tiles",
    "tokens",
    "probes",
    "scoring",
    "report",
    "analyses",
    "config",
    "reference",
    "pretraining",
    "run",
)
MODULES = sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def is_module(name: str) -> bool:
    path = SOURCE.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("patchprobe"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("patchprobe"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if is_module(name) else str(node.module) for name in names)


def floor(name: str) -> str:
    first = name.split(".")[1] if "." in name else ""
    return first if (PACKAGE / first).is_dir() else ""


def id_of(path: Path) -> str:
    return dotted(path)


def test_every_package_has_a_floor():
    packages = {path.parent.relative_to(PACKAGE).parts[0] for path in PACKAGE.glob("*/__init__.py")}
    assert packages == set(FLOORS) - {""}


@pytest.mark.parametrize("path", MODULES, ids=id_of)
def test_imports_point_down(path):
    own = floor(dotted(path))
    allowed = {*FLOORS[: FLOORS.index(own)], own}
    for name in imports(path):
        assert floor(name) in allowed, f"{dotted(path)} imports {name}"


def test_nothing_of_the_evaluation_imports_the_drawn_world():
    annexes = ("patchprobe.datasets.demo", "patchprobe.pretraining", "patchprobe.run")
    for path in MODULES:
        if not dotted(path).startswith(annexes):
            assert not [name for name in imports(path) if name.startswith("patchprobe.datasets.demo")], path


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=id_of)
def test_a_package_holds_a_docstring_and_nothing_else(path):
    """Python runs it whenever a module of the package is imported, and digests of code count it."""
    (only,) = ast.parse(path.read_text()).body
    assert isinstance(only, ast.Expr) and isinstance(only.value, ast.Constant) and isinstance(only.value.value, str)


def test_few_modules_lie_in_no_package():
    assert len([path for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]) <= 6


@pytest.mark.parametrize("module", ["writing", "build", "synced", "shards", "uploading"])
def test_code_that_writes_stores_is_in_no_digest_of_what_only_reads_them(tmp_path, module):
    """Tables, figures and measurements of all analyses."""
    shutil.copytree(PACKAGE, tmp_path / "src/patchprobe")
    scripts = shutil.copytree(SOURCE.parent / "workflow/scripts", tmp_path / "scripts")
    jobs = [("measure", f"{a.name}.measure") for a in analyses() if a.measures]
    jobs += [("show", f"{a.name}.report") for a in analyses() if a.shows]

    def digests():
        return {
            job: Sources(tmp_path / "src").digest(scripts / f"{job[0]}.py", [f"patchprobe.analyses.{job[1]}"])
            for job in jobs
        }

    def edit(path):
        with path.open("a") as file:
            file.write("\nEDITED = True\n")

    before = digests()
    edit(tmp_path / f"src/patchprobe/stores/{module}.py")
    assert digests() == before
    edit(tmp_path / "src/patchprobe/measurements.py")
    assert not set(digests().items()) & set(before.items())


def test_every_test_file_has_a_name_of_its_own():
    """Tests lie in no packages, so pytest imports the first of two files of a name and refuses the other."""
    names = [path.name for path in SOURCE.parent.glob("tests/**/test_*.py")]
    assert sorted(names) == sorted(set(names))
