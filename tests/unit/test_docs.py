"""What README and docs say is there: links, paths, keys, options, messages, examples; and files that repeat each other."""

import ast
import importlib.util
import json
import re
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import yaml
from documents import PAGES, ROOT, anchors, blocks, commands, prose, shell_lines, spans, text
from PIL import Image

from patchprobe.analyses.declaring import analyses
from patchprobe.config.validation import load_schema, validate
from patchprobe.datasets.dataset import open_dataset
from patchprobe.datasets.index import build_index
from patchprobe.models.backbone import load_model
from patchprobe.models.decoders.mae import MAEDecoder
from patchprobe.reference import analyses as analyses_reference
from patchprobe.reference.generated import with_part
from patchprobe.run import records

PATH_ROOTS = (
    "benchmarks",
    "config",
    "docs",
    "envs",
    "profiles",
    "requirements",
    "rules",
    "src",
    "tests",
    "workflow",
    ".ci",
    ".test",
)
MADE_BY_MAKE = {"results/report.zip", "results/bench.json", "results/README.md"}
OF_THE_SYSTEM = {".", "apptainer", "apt-get", "cp", "docker", "git", "less", "ls", "make", "tmux"}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pages
def test_relative_links_resolve(page):
    assert len(set(anchors(page))) == len(anchors(page)) or page.name == "CHANGELOG.md", "two titles are one anchor"
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(file), f"{page.name} links to {target}"


@pages
def test_named_files_exist(page):
    top = {path.name for path in ROOT.iterdir()}
    for span in spans(page):
        if not re.fullmatch(r"[\w./<>*-]+", span):
            continue
        pattern = re.sub(r"<[^>]+>", "*", span).rstrip("/")
        if f"`{span}`\n\n```" in text(page):  # the page has the whole file
            continue
        if pattern.split("/")[0] in PATH_ROOTS and "/" in span:
            assert list(ROOT.glob(pattern)), f"{page.name} names {span}"
        elif (
            re.fullmatch(r"\w+(\.(toml|cff|md))?", span)
            and span[0].isupper()
            and span.endswith(("file", ".md", ".cff"))
        ):
            assert span in top, f"{page.name} names {span}"


@cache
def outputs() -> list[str]:
    """Paths that rules write, wildcards replaced by one letter."""
    found = re.findall(r'"(results/[^"]+)"', "\n".join(text(path) for path in sorted(ROOT.glob("rules/*.smk"))))
    found += [path.replace("{ext}", ext) for path in found for ext in ("csv", "md", "tex", "html", "svg", "png")]
    found += [path.replace("{variant}", "") for path in found]
    for analysis in analyses():
        found += [analysis.path(), *map(analysis.path, analysis.also.values())]
        found += [path for what in analysis.shows for path in analysis.shown_paths(what).values()]
    return [re.sub(r"\{+\w+\}+", "x", path) for path in found] + [
        re.sub(r"\{+\w+\}+", "x", path.replace("{corruption}", "clean")) for path in found
    ]


@pages
def test_named_results_are_outputs_of_rules(page):
    for span in spans(page):
        if not re.fullmatch(r"results/[\w./<>{}-]*", span) or span in MADE_BY_MAKE or span == "results/":
            continue
        if span in (f"{records.FOLDER}/", str(records.PLAN)):  # which every run writes, and no rule
            continue
        path = re.sub(r"<\w+>|\{\w+\}", "x", span)
        made = [output for output in outputs() if output == path or (path.endswith("/") and output.startswith(path))]
        assert made, f"{page.name} names {span}"


@pages
def test_make_verbs_exist(page):
    verbs = set(re.search(r"^\.PHONY: (.+)$", text(ROOT / "Makefile"), flags=re.MULTILINE)[1].split())
    for command in commands(page):
        if match := re.match(r"make ([\w-]+)", command):
            assert match[1] in verbs, f"{page.name}: {command}"


@cache
def options_of_snakemake() -> set[str]:
    from snakemake import cli

    return {option for action in cli.get_argument_parser()._actions for option in action.option_strings}


@pages
def test_options_of_snakemake_exist(page):
    for command in commands(page):
        if re.match(r"(\w+=\S+ )*snakemake ", command):
            used = {word.partition("=")[0] for word in command.split() if word.startswith("--") and word != "--"}
            assert used <= options_of_snakemake(), f"{page.name}: {command}"


@pages
def test_modules_and_programs_of_commands_exist(page):
    for line in shell_lines(page):
        words = line.split()
        if words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]), line
            for word in words[3:]:
                assert not word.startswith("tests/") or (ROOT / word).exists(), line
        else:
            program = next(word for word in words if "=" not in word)
            assert program in OF_THE_SYSTEM or Path(sys.executable).with_name(program).exists(), line


@pytest.fixture(scope="module")
def schema():
    return load_schema(ROOT / "config/schema/config.schema.yaml")


def resolve(schema: dict[str, Any], key: str) -> dict[str, Any]:
    """The schema of a key such as ``models.<name>.probe.batch_norm``; raises KeyError for an unknown one."""
    part: Any = schema
    for step in key.split("."):
        branches = [branch["then"].get("properties", {}) for branch in part.get("allOf", ())]
        if step.startswith("<"):
            part = part["additionalProperties"]
        else:
            given = [branch[step] for branch in branches if "default" in branch.get(step, {})]
            part = part["properties"][step] | (given[0] if given else {})
        while "$ref" in part:
            part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    return part


@pages
def test_named_keys_exist(page, schema):
    for span in spans(page):
        key = span.split(":")[0]
        if (
            re.fullmatch(r"[a-z_]+(\.(<\w+>|[a-z_-]+))+", key)
            and key.split(".")[0] in schema["properties"]
            and not key.endswith(".py")
        ):
            try:
                resolve(schema, key)
            except KeyError:
                pytest.fail(f"{page.name} names the key {span}")


def test_defaults_in_the_protocol_are_those_of_the_schema(schema):
    rows = re.findall(
        r"^\| `([a-z_.<>-]+)` \| `([^`]+)` \| .*\[[PLO/]+\]", text(ROOT / "docs/protocol.md"), re.MULTILINE
    )
    assert len(rows) > 25
    for key, default in rows:
        assert resolve(schema, key)["default"] == json.loads(default), key


@pages
def test_yaml_is_a_valid_configuration_or_profile(page, schema):
    default = yaml.safe_load(text(ROOT / "config/config.yaml"))
    for block in blocks(page, "yaml"):
        part = yaml.safe_load(block)
        if page.parent.name == "profiles":
            assert {f"--{key}" for key in part} <= options_of_snakemake(), block
        else:
            validate({key: default[key] for key in ("datasets", "models")} | part, schema)


@pages
def test_commands_stand_in_blocks_of_shell(page):
    """So that none escapes the tests."""
    for language, block in re.findall(r"^```(\S*)\n(.*?)^```$", text(page), flags=re.MULTILINE | re.DOTALL):
        if language != "sh":
            assert not re.search(r"^(\$ |snakemake |make |python |pip )", block, flags=re.MULTILINE), block


def test_messages_in_the_table_are_in_the_code():
    table = text(ROOT / "docs/running.md").split("## Error messages")[1]
    messages = re.findall(r"^\| `([^`]+)` \|", table, flags=re.MULTILINE)
    assert len(messages) > 25
    parts = [
        node.value
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    for message in messages:
        for fragment in filter(None, map(str.strip, message.split("…"))):
            assert any(fragment in part for part in parts), f"no code says {fragment!r}"


def module(source: str, name: str) -> types.ModuleType:
    made = types.ModuleType(name)
    exec(compile(source, name, "exec"), made.__dict__)
    return made


def test_example_adapter_works(tmp_path, monkeypatch):
    (source,) = blocks(ROOT / "docs/datasets.md", "python")
    adapter = module(source, "patchprobe.datasets.adapters.farmland")
    monkeypatch.setitem(sys.modules, "patchprobe.datasets.adapters.farmland", adapter)
    rng = np.random.default_rng(0)
    for split, field in [("train", "north"), ("train", "south"), ("val", "east")]:
        for kind, shape, high in (("images", (32, 48, 3), 256), ("masks", (32, 48), 3)):
            folder = tmp_path / "Farmland" / kind / split / field
            folder.mkdir(parents=True)
            Image.fromarray(rng.integers(0, high, shape, np.uint8)).save(folder / "a.png")
    dataset = open_dataset({"adapter": "farmland", "root": "Farmland", "options": {}}, tmp_path)
    entry = {"splits": {"train": {"source": "train"}, "evaluation": {"source": "val"}}, "tiling": {"size": 32}}
    images, classes = build_index(dataset, "farmland", entry, seed=0)
    assert images["image_id"].tolist() == ["train/north/a", "train/south/a", "val/east/a"]
    assert images["group"].tolist() == ["north", "south", "east"]
    assert classes["pixels"].sum() == 3 * 32 * 48


def test_example_source_works(monkeypatch):
    source = blocks(ROOT / "docs/models.md", "python")[-1]
    monkeypatch.setitem(sys.modules, "patchprobe.models.sources.colour", module(source, "colour"))
    entry = {"source": "colour", "patch_size": 4}
    model = load_model("colour", entry, checkpoint_root=Path(), input_size=[8, 12], device="cpu")
    images = torch.rand(2, 3, 8, 12)
    tokens = model.tokens(images, [1]).patch
    assert tokens.shape == (1, 2, 6, 3) and model.grid == (2, 3)
    torch.testing.assert_close(tokens[0, 1, 3], images[1, :, 4:, :4].mean(dim=(1, 2)))


def test_example_reconstruction_works(tmp_path):
    arguments = {"embed_dim": 240, "depth": 1, "num_heads": 4}
    weights = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=0, **arguments).state_dict()
    decoder = MAEDecoder(240, width=16, depth=1, heads=16, patches=4, values=768, norm_eps=1e-6).state_dict()
    torch.save({"model": weights | decoder}, tmp_path / "w.pth")
    entry = {"source": "timm", "architecture": "vit_tiny_patch16_224", "arguments": arguments, "layout": "mae"}
    entry["checkpoint"] = "w.pth"
    names = {
        "model": load_model("m", entry, checkpoint_root=tmp_path, input_size=32, device="cpu"),
        "images": torch.rand(2, 3, 32, 32),
    }
    exec(blocks(ROOT / "docs/models.md", "python")[0], names)
    assert names["reconstructed"].shape == (2, 3, 32, 32)
    assert (names["encoded"].mask.sum(dim=1) == 3).all()


def test_pages_name_no_place_of_this_machine():
    for page in PAGES:
        assert not re.search(r"/(?:work|tmp|home)/\w|\.\./shared", text(page)), page


@pytest.mark.parametrize("name", sorted(analyses_reference.PAGES))
def test_tables_of_analyses_are_those_of_the_declarations(name):
    page = text(ROOT / "docs" / name)
    made = with_part(page, analyses_reference.BEGIN, analyses_reference.PAGES[name]())
    assert page == made, "run: python -m patchprobe.reference.analyses docs"
