import subprocess
import sys

import pytest

from patchprobe.run.provenance import canonical, code_digest, spec_hash


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
    return code_digest(tree / "script.py", tree / "src", modules)


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


def test_place_of_the_checkout_does_not_count(tree, tmp_path_factory):
    import shutil

    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(tree, copy)
    assert digest(copy) == digest(tree)


def test_reading_imports_nothing(repository):
    program = (
        "import sys; from pathlib import Path; from patchprobe.run.provenance import code_digest\n"
        "code_digest(Path('workflow/scripts/extract.py'), Path('src'))\n"
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
