"""The page of verification against the registry, and what it is made from against itself; golden tests have the rest."""

import re

import pytest

from patchprobe.errors import ConfigError
from patchprobe.models.registered import registered_models
from patchprobe.reference import verification


@pytest.fixture(scope="module")
def page(repository):
    return (repository / "docs/verification.md").read_text()


def test_the_page_is_made_from_what_was_measured(page):
    assert page == verification.with_reference(page), (
        "run: python -m patchprobe.reference.verification docs/verification.md"
    )


def test_a_page_without_the_two_lines_is_refused():
    with pytest.raises(ConfigError, match="no lines"):
        verification.with_reference("# Verification\n")


def test_every_model_of_the_registry_is_on_the_page_once(page):
    families, without = page.split("## Not compared with any official code")
    for name in registered_models():
        rows = re.findall(rf"^\| (models|names and shapes of the file only) \|.*\(models\.md#{name}\)", families, re.M)
        assert len(rows) + without.count(f"(models.md#{name})") == 1, name


def test_models_without_official_code_are_named_with_the_reason():
    named = {name for family in verification.families().values() for name in (*family.entries, *family.names)}
    assert verification.reasons().keys() <= set(registered_models()) - named


@pytest.mark.parametrize("title", verification.families())
def test_no_difference_is_above_what_is_allowed_and_every_mistake_is(title):
    for folder in verification.families()[title].folders:
        cases = verification.measured().cases(folder)
        assert cases
        for facts in cases.values():
            assert facts["tolerance"] == (2e-5 if facts["full"] else 1e-5)
            assert 0 <= max(facts["differences"].values()) <= facts["tolerance"]
        assert len(verification.measured().mistakes(folder)) >= 3
        assert min(verification.measured().mistakes(folder).values()) > 3e-5


def test_a_model_is_told_what_was_compared_for_it():
    assert verification.verified("dino") == "[tokens, with its authors' code](verification.md#dino)"
    assert verification.verified("dinov2-l") == "[names and shapes of the file only](verification.md#dinov2)"
    assert verification.verified("siglip2") == f"[nothing](verification.md#{verification.NOTHING})"
