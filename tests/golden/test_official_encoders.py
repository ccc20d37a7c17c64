"""Tokens of reduced files, loaded through the public loader, against the outputs of the models' official code."""

from pathlib import Path

import pytest
from official import check, difference, families, write

FAMILIES = families()


@pytest.fixture(scope="module", params=FAMILIES)
def reduced(request, official, tmp_path_factory):
    family = FAMILIES[request.param]
    golden = official(family.folder)
    path = tmp_path_factory.mktemp(family.folder) / family.file
    write(golden.content(), path)
    return family, golden, path


def test_tokens_of_every_block_equal_the_official_ones(compare, reduced):
    family, golden, path = reduced
    for case in family.cases:
        check(family, golden, compare, case, path)


@pytest.mark.parametrize(
    ("folder", "variant"), [(folder, variant) for folder, family in FAMILIES.items() for variant in family.variants]
)
def test_other_files_of_the_same_weights_give_the_same_tokens(official, compare, tmp_path, folder, variant):
    family, golden = FAMILIES[folder], official(folder)
    path = tmp_path / family.file
    write(golden.content(variant.file), path)
    backbone = check(family, golden, compare, variant.case, path, f" ({variant.file})", **variant.entry)
    if variant.left_out is not None:
        assert backbone.provenance["left_out"] == variant.left_out


@pytest.mark.parametrize(
    ("folder", "mistake"), [(folder, mistake) for folder, family in FAMILIES.items() for mistake in family.mistakes]
)
def test_a_mistake_moves_the_tokens_by_more_than_the_tolerance(official, mistaken, tmp_path, folder, mistake):
    family, golden = FAMILIES[folder], official(folder)
    wrong = family.mistakes[mistake]
    content = golden.content()
    write(wrong.file(content) if wrong.file else content, tmp_path / family.file)
    moved = difference(family, golden, wrong, tmp_path / family.file)
    mistaken(folder, mistake, moved, golden.tolerance(wrong.case))


@pytest.mark.parametrize("folder", FAMILIES)
def test_every_case_and_file_of_the_goldens_is_compared(official, folder):
    family, spec = FAMILIES[folder], official(folder).spec
    others = {*family.elsewhere, *(variant.case for variant in family.variants)}
    assert {*family.cases, *family.digests} | (others & spec["cases"].keys()) == spec["cases"].keys()
    assert {"primary", *(variant.file for variant in family.variants)} | (others & spec["files"].keys()) == (
        spec["files"].keys()
    )
    assert family.mistakes


# compared by tests of their own
ELSEWHERE = {
    "mae_vitb16": "test_official_masked",
    "hf_vitmae_base": "test_official_masked",
    "simmim_vitb16": "test_official_masked",
    "simmim_vitb16_ft": "test_official_masked",
    "scalemae_vitl16": "test_official_scalemae",
}


def test_every_golden_folder_is_compared(golden_roots):
    folders = {spec.parent.name for root in golden_roots for spec in root.glob("*/spec.json")}
    assert folders == FAMILIES.keys() | ELSEWHERE.keys()
    for folder, module in ELSEWHERE.items():
        assert folder in (Path(__file__).parent / f"{module}.py").read_text()
