"""The page of verification names every family that has official outputs, and what tests compare, neither less nor more."""

import re

import pytest
import test_official_masked
import test_official_scalemae
from official import families
from test_other_sizes import SIZES
from test_registry_entries import CASES

from patchprobe.models.registered import registered_models
from patchprobe.reference import verification

MISTAKES = {
    **{folder: family.mistakes for folder, family in families().items()},
    **test_official_masked.MISTAKES,
    test_official_scalemae.MODEL: test_official_scalemae.MISTAKES,
}
PAGE = verification.families()


def test_every_folder_of_official_outputs_is_on_the_page_once(golden_roots):
    folders = sorted(spec.parent.name for root in golden_roots for spec in root.glob("*/spec.json"))
    assert sorted(folder for family in PAGE.values() for folder in family.folders) == folders
    assert verification.measured().folders == set(folders)


@pytest.mark.parametrize("title", PAGE)
def test_a_family_has_all_its_cases_mistakes_and_the_source_of_its_outputs(official, title):
    for folder in PAGE[title].folders:
        spec = official(folder).spec
        cases = verification.measured().cases(folder)
        assert {re.sub(r" \(.*", "", case) for case in cases} == spec["cases"].keys()
        variants = {file for case in cases for file in re.findall(r"\((.*)\)", case)} - {"decoder", "analysis"}
        assert variants <= spec["files"].keys()
        assert verification.measured().mistakes(folder).keys() == MISTAKES[folder].keys()
        source, at = PAGE[title].source.split(",")[0], PAGE[title].at
        assert source in spec["source"]["repo"] and at in f"{spec['source']['repo']} {spec['source']['commit']}"


def test_models_of_the_page_are_those_that_tests_look_at():
    named = {name for family in PAGE.values() for name in family.names}
    compared = {name for family in PAGE.values() for name in family.entries}
    assert not named & compared and named | compared <= set(registered_models())
    assert named <= SIZES.keys() <= named | compared
    folders = {folder: family for family in PAGE.values() for folder in family.folders}
    for name, folder, case in CASES:
        assert name in (*folders[folder].entries, *folders[folder].names)
        assert verification.measured().of_entry(name)[case]
    assert {name for name in registered_models() if verification.measured().of_entry(name)} == {
        name for name, _, _ in CASES
    }
    # an entry that stands for its tokens is loaded by its name too, or is another file of one that is
    for family in PAGE.values():
        assert any(verification.measured().of_entry(name) for name in family.entries)
