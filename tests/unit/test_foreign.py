"""Text of servers, weights and data sets in messages: it cannot drive a terminal, begin a line of ours, or fill a page."""

import os
import struct
import unicodedata

import pytest
import torch
from breaking_server import Server
from hypothesis import given
from hypothesis import strategies as st
from serving import serving

from patchprobe.datasets.adapters.ade20k import ADE20K
from patchprobe.errors import ConfigError, DataError, DownloadError, ModelError, printable, shown
from patchprobe.models.checkpoints.fetching import Checkpoint, Patience, fetch
from patchprobe.models.checkpoints.reading import load_strictly, open_checkpoint, read_checkpoint

# Clears the screen, sets the title, a C1 control sequence, overrides the direction, a line that looks like ours.
EVIL = "\x1b[2J\x1b]0;title\x07\x9b1m\u202egnp.exe\u2066\nerror: all is well\r\u2028\x00\x7f"


def harmless(text, lines=1):
    assert len(text.split("\n")) == lines
    for character in text.replace("\n", ""):
        assert unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"), ascii(text)


@given(st.text(st.characters(exclude_categories=())), st.integers(20, 300))
def test_shown_text_is_harmless_and_short(text, limit):
    harmless(shown(text, limit))
    harmless(printable(text))
    assert len(shown(text, limit)) <= limit


@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=50))
def test_plain_words_of_any_script_stay(text):
    assert shown(text, 60) == printable(text) == text


def test_text_of_any_length_is_cut_before_it_is_escaped():
    assert shown("\x1b" * 100_000_000, 100).startswith("\\x1b\\x1b")


@pytest.mark.parametrize("error", [ModelError, DataError])
def test_errors_show_no_control_characters(error):
    harmless(str(error(f"file {EVIL} is bad")))


def test_an_error_of_several_keys_keeps_its_lines():
    assert str(ConfigError("not valid:\n  - one\n  - two\x1b")) == "not valid:\n  - one\n  - two\\x1b"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with serving(Server(b"PK\x03\x04" + bytes(1000))) as server:
        yield server


@pytest.mark.parametrize("status", [404, 503])
def test_a_server_cannot_drive_the_terminal(server, tmp_path, monkeypatch, capfd, status):
    reason = "\x1b[2J\x9b\x7f" + 5000 * "long "
    handler = server.RequestHandlerClass
    monkeypatch.setattr(handler, "send_response", lambda self, code, message=None: _answer(self, code, reason))
    server.plans = [{"status": status}] * 3
    with pytest.raises(DownloadError) as caught:
        fetch(Checkpoint("dino", tmp_path / "w.pth", server.url, None), Patience(5, 2, 0.01))
    harmless(str(caught.value))
    assert f"answers {status} (\\x1b[2J" in str(caught.value) and len(str(caught.value)) < 1000
    for line in capfd.readouterr().err.splitlines():
        harmless(line)


def _answer(handler, code, reason):
    handler.send_response_only(code, reason)


@pytest.mark.parametrize("header", ["Content-Length", "Retry-After"])
@pytest.mark.parametrize("value", ["9" * 5000, "\u0662", "-1", "1e3", ""])
def test_numbers_of_a_server_that_are_none(server, tmp_path, monkeypatch, header, value):
    """More than 4300 digits are no number to Python either, which would end the job with a traceback."""
    from patchprobe.downloads import transfers

    assert transfers._number(value) is None
    assert transfers._number("1500000000") == 1_500_000_000


def saved(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    return tmp_path / "w.pth"


def test_names_of_tensors_are_shown_harmlessly(tmp_path):
    saved(tmp_path, {EVIL + 1000 * "x": torch.zeros(1), "b": torch.full((1,), float("nan"))})
    with pytest.raises(ModelError) as caught:
        open_checkpoint("dino", {"checkpoint": "w.pth", "layout": "dino"}, tmp_path)
    harmless(str(caught.value))
    with pytest.raises(ModelError) as caught:
        load_strictly(torch.nn.Linear(1, 1), {EVIL + 1000 * "x": torch.zeros(1)}, "models.dino.checkpoint")
    harmless(str(caught.value))
    assert "\\x1b[2J" in str(caught.value) and len(str(caught.value)) < 700


def test_the_object_that_a_pickle_asks_for_is_shown_harmlessly(tmp_path):
    name = ("evil" + EVIL.replace("\n", "")).encode()
    path = tmp_path / "w.pth"
    sized = struct.pack("<I", len(b"a"))
    pickled = b"\x80\x02}X" + sized + b"a" + b"c" + name + b"\n" + name + b"\n" + b"s."
    legacy = (
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number
        b"\x80\x02M\xe9\x03."  # the protocol
        b"\x80\x02}."  # the system
    )
    path.write_bytes(legacy + pickled)
    with pytest.raises(ModelError) as caught:
        read_checkpoint(path, "models.dino.checkpoint")
    harmless(str(caught.value))
    assert "\\x1b" in str(caught.value)


def test_names_of_files_are_shown_harmlessly(tmp_path):
    root = tmp_path / "ade"
    (root / "sceneCategories.txt").parent.mkdir()
    (root / "sceneCategories.txt").write_text("")
    for folder in ("images", "annotations"):
        (root / folder / "training").mkdir(parents=True)
    (root / "images" / "training" / ("ADE_train_1" + EVIL.replace("\x00", "").replace("/", "") + ".jpg")).touch()
    with pytest.raises(DataError) as caught:
        ADE20K(root, {}).records("training")
    harmless(str(caught.value))
    assert "\\x1b[2J" in str(caught.value)
    (root / "images" / "training" / os.fsdecode(b"ADE_train_\xff.jpg")).touch()
    with pytest.raises(DataError, match=r"ADE_train_\\udcff\.jpg is not text in UTF-8") as caught:
        ADE20K(root, {}).records("training")
    harmless(str(caught.value))
