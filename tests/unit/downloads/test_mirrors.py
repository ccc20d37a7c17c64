"""Several addresses and digests of one file, from real local servers that break, lie and differ."""

import hashlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from breaking_server import Server
from serving import serving

from patchprobe.downloads.contents import no_archive
from patchprobe.downloads.fetching import Patience, fetch
from patchprobe.downloads.wanted import Keys, Wanted
from patchprobe.errors import DownloadError

CONTENT = b"PK\x03\x04" + np.random.default_rng(1).bytes(1_499_996)
DIGESTS = {kind: hashlib.new(kind, CONTENT).hexdigest() for kind in ("md5", "sha1", "sha256")}
NAMES, REMEDIES = {kind: f"data.{kind}" for kind in DIGESTS}, {kind: f"Correct the {kind}" for kind in DIGESTS}
KEYS = Keys("data.address", NAMES, "data.place", "data_root", REMEDIES, "nobody knows its digest")
QUICK = Patience(timeout=5, attempts=3, pause=0.01)
FETCH = (
    "import sys; from pathlib import Path; from patchprobe.downloads.fetching import *; from patchprobe.downloads.wanted import *\n"
    "keys = Keys('a', {'md5': 'b'}, 'c', 'd', {'md5': 'e'}, 'f')\n"
    "fetch(Wanted(keys, Path(sys.argv[1]), (sys.argv[2],), {'md5': sys.argv[3]}), Patience(60, 3, 0.01))"
)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def first():
    with serving(Server(CONTENT)) as server:
        yield server


@pytest.fixture
def second():
    with serving(Server(CONTENT)) as server:
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "downloads/set.zip"


def wanted(path, *servers, digests=DIGESTS, **facts):
    return Wanted(KEYS, path, tuple(s.url for s in servers), digests, foreign=no_archive, **facts)


def ranges(server):
    return [headers.get("Range") for _, headers in server.asked]


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256"])
@pytest.mark.parametrize("digits", [8, None])
def test_digests_of_any_kind_or_their_first_digits(first, path, kind, digits):
    fetch(wanted(path, first, digests={kind: DIGESTS[kind][:digits].upper()}), QUICK)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256"])
def test_every_digest_has_to_fit(first, path, kind):
    with pytest.raises(DownloadError) as caught:
        fetch(wanted(path, first, digests=DIGESTS | {kind: "0" * len(DIGESTS[kind])}), QUICK)
    text = str(caught.value)
    assert DIGESTS[kind] in text and f"data.{kind} is" in text and f"Correct the {kind}" in text
    assert all(DIGESTS[other] in text for other in DIGESTS) and not list(path.parent.glob("*zip*"))


def test_the_first_address_is_asked_alone_while_it_answers(first, second, path):
    fetch(wanted(path, first, second), QUICK)
    assert path.read_bytes() == CONTENT and not second.asked


@pytest.mark.parametrize("plan", [{"status": 404}, {"status": 503}, {"body": b"<html>log in</html>"}, {"cut": 0}])
def test_the_next_address_is_asked_at_once(first, second, path, plan):
    first.plans = [plan] * 3
    fetch(wanted(path, first, second), Patience(5, 3, 30))
    assert path.read_bytes() == CONTENT and len(first.asked) == 1 and ranges(second) == [None]


def test_a_part_is_gone_on_with_at_the_next_address_where_a_digest_will_tell(first, second, path):
    first.plans, second.etag = [{"cut": 900_000}], '"two"'
    fetch(wanted(path, first, second), QUICK)
    (asked,) = ranges(second)
    assert path.read_bytes() == CONTENT and int(asked[6:-1]) > 900_000 - 2**18
    assert first.sent + second.sent < len(CONTENT) + 2**18


def test_without_a_digest_no_parts_of_two_addresses_are_put_together(first, second, path):
    first.plans = [{"cut": 900_000}] + [{"status": 503}] * 2
    second.content = CONTENT[::-1][:-4] + bytes(4)
    second.content = CONTENT[:4] + second.content[4:]
    fetch(wanted(path, first, second, digests={}), QUICK)
    assert path.read_bytes() == second.content and ranges(second) == [None] and len(first.asked) == 3


def test_another_file_at_the_first_address(first, second, path):
    first.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    fetch(wanted(path, first, second), QUICK)
    assert path.read_bytes() == CONTENT and ranges(second) == [None]


def test_pieces_of_different_files_at_two_addresses_are_found_out(first, second, path):
    first.content, first.plans = CONTENT[::-1], [{"cut": 700_000}]
    fetch(wanted(path, first, second), QUICK)
    assert path.read_bytes() == CONTENT


def test_all_addresses_are_named_where_none_has_it(first, second, path):
    first.plans, second.plans = [{"status": 404}] * 3, [{"status": 500}] * 3
    with pytest.raises(DownloadError) as caught:
        fetch(wanted(path, first, second, size=len(CONTENT)), QUICK)
    text = str(caught.value)
    assert first.url in text and second.url in text and "404" in text and "3 times" in text
    assert str(path.parent) in text and str(len(CONTENT)) in text and DIGESTS["md5"] in text


@pytest.mark.parametrize("plan", [{}, {"headers": {"Content-Length": None}}])
def test_a_file_of_another_size_is_not_fetched(first, second, path, plan):
    first.content, first.plans = CONTENT + bytes(2_000_000), [plan] * 3
    fetch(wanted(path, first, second, size=len(CONTENT)), QUICK)
    assert path.read_bytes() == CONTENT and len(first.asked) == 1


def test_a_truncated_file_of_known_size_is_not_taken(first, path):
    first.content = CONTENT[:-1000]
    with pytest.raises(DownloadError, match="has a file of 1499000 bytes in place of 1500000"):
        fetch(wanted(path, first, digests={}, size=len(CONTENT)), QUICK)
    assert not path.exists()


def test_what_is_no_archive_is_not_kept(first, path):
    first.content = b"quota exceeded"
    with pytest.raises(DownloadError, match=r"is text \('quota exceeded'\), not the file"):
        fetch(wanted(path, first, digests={}), QUICK)
    assert not path.exists()


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_three_times_at_random_it_ends_with_the_same_bytes(first, path, seed):
    draw = random.Random(seed)
    hidden = path.with_name(f".{path.name}.partial")
    for _ in range(3):
        there = hidden.stat().st_size if hidden.exists() else 0
        cut = draw.randrange(there + 2**18, there + 420_000)
        first.plans = [{"cut": cut, "stall": True}]
        process = subprocess.Popen(
            [sys.executable, "-c", FETCH, str(path), first.url, DIGESTS["md5"]], stderr=subprocess.DEVNULL
        )
        first.stalled.clear()
        assert first.stalled.wait(30)
        deadline = time.time() + draw.uniform(0.05, 0.3)
        while time.time() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not path.exists() and hidden.stat().st_size >= there
    begun = hidden.stat().st_size
    fetch(wanted(path, first), QUICK)
    assert path.read_bytes() == CONTENT and begun > 0 and ranges(first)[-1] == f"bytes={begun}-"
    assert sorted(file.name for file in path.parent.iterdir()) == ["set.zip", "set.zip.fetched.json"]
