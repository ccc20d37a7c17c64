import json
import os
import subprocess
import sys

import pytest

from patchprobe.run import provenance
from patchprobe.run.provenance import Sources, canonical, spec_hash


@pytest.fixture
def tree(tmp_path):
    package = tmp_path / "src" / "patchprobe"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").write_text('"""Root."""\n')
    (package / "sub" / "__init__.py").write_text("")
    (package / "a.py").write_text("from patchprobe.sub import b\n\ndef f():\n    return b.g()\n")
    (package / "sub" / "b.py").write_text("from ..c import h\n\ndef g():\n    return h\n")
    (package / "c.py").write_text("h = 1\n")
    (package / "plugin.py").write_text("x = 1\n")
    (package / "other.py").write_text("y = 1\n")
    script = tmp_path / "script.py"
    script.write_text("import json\nfrom patchprobe.a import f\nf()\n")
    return tmp_path


def digest(tree, *modules):
    return Sources(tree / "src").digest(tree / "script.py", modules)


@pytest.mark.parametrize("name", ["__init__", "a", "sub/__init__", "sub/b", "c"])
def test_edit_of_any_imported_module_counts(tree, name):
    before = digest(tree)
    path = tree / "src" / "patchprobe" / f"{name}.py"
    path.write_text(path.read_text() + "\nz = 2\n")
    assert digest(tree) != before


def test_edit_of_script_counts_and_revert_restores(tree):
    before, script = digest(tree), tree / "script.py"
    text = script.read_text()
    script.write_text(text + "f()\n")
    assert digest(tree) != before
    script.write_text(text)
    assert digest(tree) == before


def test_comments_docstrings_layout_and_unrelated_modules_do_not_count(tree):
    before, package = digest(tree), tree / "src" / "patchprobe"
    (package / "a.py").write_text(
        '"""New docstring."""\n# comment\nfrom patchprobe.sub import (\n    b,\n)\n\n\ndef f():\n'
        '    """Doc."""\n    return b.g()  # why\n'
    )
    (package / "other.py").write_text("y = 2\n")
    assert digest(tree) == before


def test_imports_for_type_checking_alone_do_not_count(tree):
    package = tree / "src" / "patchprobe"
    guarded = "if TYPE_CHECKING:\n    from patchprobe import other\n"
    (package / "c.py").write_text(f"from typing import TYPE_CHECKING\n{guarded}h = 1\n")
    before = digest(tree)
    (package / "other.py").write_text("y = 2\n")
    assert digest(tree) == before


def test_modules_found_by_name_count_only_when_named(tree):
    plain, named = digest(tree), digest(tree, "patchprobe.plugin")
    (tree / "src" / "patchprobe" / "plugin.py").write_text("x = 2\n")
    assert digest(tree) == plain
    assert digest(tree, "patchprobe.plugin") != named


@pytest.fixture
def forgetful(monkeypatch):
    """Return a function that lets this process know no more than one that starts."""

    def forget():
        monkeypatch.setattr(provenance, "_recalled", {})
        monkeypatch.setattr(provenance, "_used", {})
        provenance._parsed.cache_clear()

    forget()
    yield forget
    provenance._parsed.cache_clear()


def test_what_is_remembered_of_code_gives_the_same_digest_without_parsing(tree, forgetful, monkeypatch):
    before, kept = digest(tree), tree / "kept/code.json"
    provenance.remember(kept)
    forgetful()
    provenance.recall(kept)
    monkeypatch.setattr(provenance, "_parse", lambda text: pytest.fail(f"parsed again: {text}"))
    assert digest(tree) == before


def test_what_is_remembered_is_of_the_bytes_and_not_of_the_file(tree, forgetful):
    """An edit that keeps size and time of a file counts, and its revert restores."""
    kept, path = tree / "code.json", tree / "src/patchprobe/c.py"
    before, facts = digest(tree), path.stat()
    provenance.remember(kept)
    for text, same in (("h = 2\n", False), ("h = 1\n", True)):
        path.write_text(text)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        forgetful()
        provenance.recall(kept)
        assert (digest(tree) == before) == same
        provenance.remember(kept)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace('"reader": "', '"reader": "0'),
        lambda text: json.dumps(json.loads(text) | {"files": [1]}),
        lambda text: json.dumps(json.loads(text) | {"files": {key: [1, 2] for key in json.loads(text)["files"]}}),
        lambda text: json.dumps(
            json.loads(text) | {"files": {key: ["0", [[0, "", [1]]]] for key in json.loads(text)["files"]}}
        ),
    ],
    ids=["half", "no mapping", "of another version", "files no mapping", "no imports", "imports of another kind"],
)
def test_what_is_damaged_is_not_recalled(tree, forgetful, damage):
    before, kept = digest(tree), tree / "code.json"
    provenance.remember(kept)
    kept.write_text(damage(kept.read_text()))
    forgetful()
    provenance.recall(kept)
    assert not provenance._recalled and digest(tree) == before


def test_a_place_that_takes_no_file_is_no_error(tree, forgetful):
    (tree / "file").write_text("")
    digest(tree)
    provenance.remember(tree / "file/code.json")
    provenance.recall(tree / "file/code.json")
    provenance.recall(tree / "absent.json")
    assert not provenance._recalled


def test_place_of_the_checkout_does_not_count(tree, tmp_path_factory):
    import shutil

    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(tree, copy)
    assert digest(copy) == digest(tree)


def test_reading_imports_nothing(repository):
    program = (
        "import sys; from pathlib import Path; from patchprobe.run.provenance import Sources\n"
        "Sources(Path('src')).digest(Path('workflow/scripts/extract.py'))\n"
        "assert not {'torch', 'timm', 'zarr', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=repository, check=True)


def test_canonical_ignores_order_and_sees_swaps():
    assert canonical({"a": 1, "b": [2]}) == canonical({"b": [2], "a": 1})
    assert canonical({"a": 1, "b": 2}) != canonical({"a": 2, "b": 1})
    assert spec_hash(canonical({"a": 1})) != spec_hash(canonical({"a": 2}))


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": object()}])
def test_canonical_refuses_what_json_cannot_hold(value):
    with pytest.raises((TypeError, ValueError)):
        canonical(value)
