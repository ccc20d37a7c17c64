import argparse

import pytest

from patchprobe.launcher import assignment_options, separate_targets

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
