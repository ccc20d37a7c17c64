import argparse
import errno
import os
import subprocess
import sys

import pytest

from patchprobe.errors import ConfigError, StoreError
from patchprobe.run.launcher import assignment_options, main, missing_profile, one_line, separate_targets

OPTIONS = {"--resources", "--config", "-C"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--cores 8 --resources gpu=1 all", "--cores 8 --resources gpu=1 -- all"),
        ("--cores 8 --resources gpu=1 mem_mb=5 all b.csv", "--cores 8 --resources gpu=1 mem_mb=5 -- all b.csv"),
        ("--resources gpu=1 all --cores 8 -n", "--resources gpu=1 --cores 8 -n -- all"),
        ("--config seed=1 --resources gpu=1 all", "--config seed=1 --resources gpu=1 -- all"),
        ("--config seed=1 all --resources gpu=1", "--config seed=1 --resources gpu=1 -- all"),
        ("--configfile a.yaml all", "--configfile a.yaml -- all"),
        ("--configfile a.yaml b.yml results/x.csv -n", "--configfile a.yaml b.yml -n -- results/x.csv"),
        ("--resources gpu=1 all -- b.csv", "--resources gpu=1 -- all b.csv"),
    ],
)
def test_swallowed_targets_are_separated(line, expected):
    assert separate_targets(line.split(), OPTIONS) == expected.split()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "all",
        "all --cores 8 --resources gpu=1",
        "--cores 8 --resources=gpu=1 all",
        "--cores 8 --resources gpu=1 -- all",
        "--cores 8 --resources gpu=1 -n",
        "--forcerun extract --cores 1",
        "--configfile a.yaml b.yaml -n",
        "--default-resources none --cores 1",
    ],
)
def test_every_other_line_is_handed_over_unchanged(line):
    assert separate_targets(line.split(), OPTIONS) == line.split()


def test_options_are_read_from_the_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("--resources", "--res", nargs="+", metavar="NAME=INT")
    parser.add_argument("--forcerun", nargs="*", metavar="TARGET")
    parser.add_argument("--set", metavar="KEY=VALUE")
    assert assignment_options(parser) == {"--resources", "--res"}


def test_snakemake_itself_still_swallows_the_target():
    """The day this fails the launcher has become needless."""
    from snakemake import cli

    options = assignment_options(cli.get_argument_parser())
    assert {"--resources", "--config"} <= options
    with pytest.raises((SystemExit, Exception)):
        parsed = cli.get_argument_parser().parse_args(["--cores", "8", "--resources", "gpu=1", "all"])
        assert parsed.targets == ["all"]


def wrapped(inner, *, silent):
    try:
        try:
            raise inner
        except type(inner) as error:
            raise RuntimeError("outer") from (None if silent else error)
    except RuntimeError as error:
        return error


FULL = OSError(errno.ENOSPC, "No space left on device", ".snakemake/log")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FULL, "the disk is full at .snakemake/log"),
        (wrapped(FULL, silent=False), "the disk is full at .snakemake/log"),
        (wrapped(ConfigError("unknown key sed"), silent=True), "unknown key sed"),
        (StoreError("it is gone"), "it is gone"),
        (FileExistsError(errno.EEXIST, "File exists", ".snakemake"), ".snakemake is, or is below, a file"),
    ],
)
def test_what_the_user_can_mend_is_one_line(error, expected):
    assert one_line(error).startswith(expected)


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), wrapped(FileNotFoundError(errno.ENOENT, "No such file", "x"), silent=False)]
)
def test_other_errors_are_left_to_snakemake(error):
    assert one_line(error) is None


@pytest.mark.parametrize("error", [FULL, wrapped(FULL, silent=False)])
def test_snakemake_prints_one_line(monkeypatch, capfd, error):
    from snakemake import api, cli

    # What the launcher changes is put back.
    for module in (api, cli):
        monkeypatch.setattr(module, "print_exception", module.print_exception)
    monkeypatch.setattr(cli, "parse_args", lambda words: (_ for _ in ()).throw(error))
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert capfd.readouterr().err.splitlines() == [
        "error: the disk is full at .snakemake/log; free some space (df) or files (df -i) and run again"
    ]


RULES = 'rule a:\n    output: "x"\n    shell: "touch {output}"\n'


@pytest.fixture(params=["--configfile", "configfile:", "profile"])
def line(request, tmp_path):
    """A folder with a workflow and the words of a dry run of it that reads ``given.yaml``, in each way there is."""
    reads = 'configfile: "given.yaml"\n' if request.param == "configfile:" else ""
    (tmp_path / "Snakefile").write_text(reads + RULES)
    words = {"--configfile": ["--configfile", "given.yaml"], "profile": ["--workflow-profile", "profile"]}
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "config.yaml").symlink_to("../given.yaml")
    return tmp_path, ["--dry-run", "--cores", "1", *words.get(request.param, [])]


def run(folder, words, launcher=True):
    code = "import sys; from patchprobe.run.launcher import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, *(["-c", code] if launcher else ["-m", "snakemake"]), *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "XDG_CACHE_HOME": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("key", ["__use_yte__", r'"\x5f_use_yte__"'])
def test_code_in_a_configuration_is_refused_unrun(line, key):
    folder, words = line
    ran = folder / "ran"
    (folder / "given.yaml").write_text(f"{key}: true\njobs: \"?open({str(ran)!r}, 'w').close() or 1\"\n")
    done = run(folder, words)
    assert done.returncode and "says __use_yte__: true" in done.stdout
    assert not ran.exists()
    # Snakemake itself runs it, so that there is something to refuse.
    run(folder, words, launcher=False)
    assert ran.exists()


def test_a_configuration_without_code_is_read(line):
    folder, words = line
    (folder / "given.yaml").write_text("jobs: 1\n")
    done = run(folder, words)
    assert done.returncode == 0 and "rule a" in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--executor cluster-generic", "run `make cluster-generic`, then `. .venv-cluster-generic/bin/activate`"),
        ("--workflow-profile profiles/slurm", "run `make slurm`, then `. .venv-slurm/bin/activate`"),
        (
            "--executor lsff",
            "snakemake-executor-plugin-lsff, which this environment lacks: install it here, or correct",
        ),
    ],
)
def test_a_missing_plugin_of_an_executor_is_named_with_its_remedy(repository, words, said):
    """In another process: a plugin that this one has imported stays registered."""
    program = "import sys; from patchprobe.run.launcher import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *words.split(), "--dry-run", "all"]
    ended = subprocess.run(command, cwd=repository, text=True, capture_output=True)
    assert ended.returncode == 2 and said in ended.stderr and "usage" not in ended.stderr


@pytest.mark.parametrize("words", [["--workflow-profile", "profiles/slrum"], ["--workflow-profile=slrum"]])
def test_a_workflow_profile_that_is_not_there_is_refused(repository, monkeypatch, words):
    """Snakemake would go on without it, on the login node of a cluster."""
    monkeypatch.chdir(repository)
    message = missing_profile([*words, "--dry-run", "all"])
    assert "slrum; correct it" in message and "profiles/slurm" in message


@pytest.mark.parametrize(
    "line",
    [
        "--cores 2 all",
        "--workflow-profile none",
        "--workflow-profile profiles/slurm",
        "--workflow-profile=slurm all",
        "--workflow-profile profiles/slrum --workflow-profile profiles/slurm",
        "-s ../other/Snakefile --workflow-profile there",
    ],
)
def test_a_workflow_profile_is_looked_for_where_snakemake_looks(repository, monkeypatch, tmp_path, line):
    (tmp_path / "other/profiles/there").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    (tmp_path / "project/profiles").symlink_to(repository / "profiles")
    monkeypatch.chdir(tmp_path / "project")
    assert missing_profile(line.split()) is None
