"""Every text that the library raises names a file, a key or a thing, and says what to do."""

import ast
import re

import pytest

KINDS = {"ConfigError", "DataError", "ModelError", "StoreError", "DownloadError", "DeviceError", "PatchprobeError"}
# Parts of a message that are a remedy themselves, or a whole message of another place.
WHOLE = re.compile(
    r"\{(self\._)?(remedy|hint|error|problem|wrong|other|messages|_by_hand\(.*?\)|wanted\.by_hand|.*\bremedy\b.*?)\}"
)
REMEDIES = [
    "add",
    "ask",
    "call",
    "choose",
    "compare",
    "complete",
    "convert",
    "copy",
    "correct",
    "cut",
    "delete",
    "draw",
    "divide",
    "download",
    "extract",
    "fetch",
    "free",
    "give",
    "install",
    "keep",
    "lay",
    "leave",
    "list",
    "lower",
    "make",
    "mount",
    "name",
    "permit",
    "put",
    "raise",
    "read",
    "remove",
    "rename",
    "replace",
    "restore",
    "run",
    "save",
    "scale",
    "see",
    "set",
    "share",
    "sort",
    "start",
    "take",
    "turn",
    "unpack",
    "unset",
    "upgrade",
    "use",
    "wait",
    "write",
]
# What the reader of checkpoints completes by what the file looks like and what to set (checkpoints/sorting.py).
COMPLETED = ("not of layout", "layout {layout} does not say which")
# What names neither, since only code that uses the library wrongly meets it.
FOR_PROGRAMMERS = ("the memory bank has no groups", "a query token is more than")


def texts(node):
    """What a message says, placeholders as their code in braces; both branches of a choice."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else f"{{{ast.unparse(v.value)}}}" for v in node.values)
    if isinstance(node, ast.BinOp):
        return texts(node.left) + texts(node.right)
    if isinstance(node, ast.IfExp):
        return f"{texts(node.body)} / {texts(node.orelse)}"
    return f"{{{ast.unparse(node)}}}"


def raised(source):
    for path in sorted((source / "src/patchprobe").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            call = node.exc if isinstance(node, ast.Raise) else None
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in KINDS and call.args:
                yield f"{path.name}:{node.lineno}", texts(call.args[0])


def says_what_to_do(text):
    if re.fullmatch(r"\{[^{}]*\}", text) or WHOLE.search(text) or any(part in text for part in COMPLETED):
        return True
    behind = " ".join(re.split(r"[:;,(]|\. | so ", text)[1:])
    return bool(re.search(rf"\b({'|'.join(REMEDIES)})\b", behind, re.IGNORECASE))


def names_something(text):
    return "{" in text or bool(re.search(r"[a-z]+[._][a-z_]+|'\w+'", text)) or text.startswith(FOR_PROGRAMMERS)


def test_every_text_names_something_and_says_what_to_do(repository):
    found = list(raised(repository))
    assert len(found) > 250
    assert not [place_and_text for place_and_text in found if not says_what_to_do(place_and_text[1])]
    assert not [place_and_text for place_and_text in found if not names_something(place_and_text[1])]


@pytest.mark.parametrize(
    "text", ["the file {path} is broken", "something is wrong: it is what it is", "{key} is 3; 4 is better"]
)
def test_the_check_finds_texts_without_a_remedy(text):
    assert not says_what_to_do(text)


def test_the_check_finds_texts_that_name_nothing():
    assert not names_something("something is wrong: run again")
