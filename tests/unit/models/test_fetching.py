"""Downloads from a local server that breaks off, lies, stalls and refuses; what was asked and sent is counted there."""

import gzip
import hashlib
import json
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from breaking_server import Server
from serving import serving

from patchprobe.errors import DownloadError
from patchprobe.models.checkpoints.fetching import Checkpoint, Patience, fetch

# Begins as what torch.save writes and, backwards, as what it wrote before 1.6.
CONTENT = (
    b"PK\x03\x04"
    + np.random.default_rng(0).bytes(1_499_964)
    + (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + bytes(17))[::-1]
)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
QUICK = Patience(timeout=5, attempts=3, pause=0.01)
FETCH = (
    "import sys; from pathlib import Path; from patchprobe.models.checkpoints.fetching import *\n"
    "fetch(Checkpoint('dino', Path(sys.argv[1]), sys.argv[2], sys.argv[3] or None), Patience(60, 3, 0.01))"
)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with serving(Server(CONTENT)) as server:
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoints/dino.pth"


def wanted(path, url, sha256=None, md5=None):
    return Checkpoint("dino", path, url, sha256, md5)


def ranges(server):
    return [headers.get("Range") for _, headers in server.asked]


def left(path):
    """Names in the folder of the checkpoint."""
    return sorted(file.name for file in path.parent.iterdir())


def partial(path):
    return path.with_name(f".{path.name}.partial")


def refused(checkpoint, patience=QUICK):
    """The message of the error, which names key and address and says what to put where; no file may be there."""
    with pytest.raises(DownloadError) as caught:
        fetch(checkpoint, patience)
    text = str(caught.value)
    assert not checkpoint.path.exists()
    assert "models.dino." in text and str(checkpoint.path.parent) in text and checkpoint.path.name in text
    if checkpoint.url:
        assert checkpoint.url.split("?")[0] in text
    return text


@pytest.mark.parametrize("sha256", [None, SHA256, SHA256[:8]])
def test_whole_file_with_its_record(server, path, capfd, sha256):
    fetch(wanted(path, server.url, sha256))
    assert path.read_bytes() == CONTENT
    assert left(path) == ["dino.pth", "dino.pth.fetched.json"]
    record = json.loads((path.parent / "dino.pth.fetched.json").read_text())
    assert record == {"url": server.url, "sha256": SHA256, "bytes": len(CONTENT)}
    log = capfd.readouterr().err
    assert SHA256 in log and ("models.dino.sha256" in log) == (sha256 is None)
    assert "\r" not in log and "100%" in log and "1.50M" in log


def test_a_connection_that_breaks_goes_on_where_it_stopped(server, path):
    server.plans = [{"cut": 700_000}, {"cut": 1_200_000}]
    fetch(wanted(path, server.url), QUICK)
    assert path.read_bytes() == CONTENT
    first, *rest = server.asked
    assert "Range" not in first[1] and len(rest) == 2
    starts = [int(headers["Range"].removeprefix("bytes=").removesuffix("-")) for _, headers in rest]
    assert [headers["If-Range"] for _, headers in rest] == ['"one"', '"one"']
    # What was lost with a connection is less than one chunk of 2^18 bytes.
    assert 700_000 - 2**18 < starts[0] <= 700_000 and 1_200_000 - 2**18 < starts[1] <= 1_200_000
    assert server.sent == 700_000 + (1_200_000 - starts[0]) + (len(CONTENT) - starts[1])


def test_the_next_run_goes_on_when_patience_is_over(server, path):
    server.plans = [{"cut": 600_000}]
    text = refused(wanted(path, server.url), Patience(5, 1, 0))
    size = partial(path).stat().st_size
    assert size > 300_000 and "the next run goes on" in text
    fetch(wanted(path, server.url))
    assert path.read_bytes() == CONTENT and ranges(server) == [None, f"bytes={size}-"]


def test_without_validator_a_part_is_only_continued_if_the_sha256_will_tell(server, path):
    server.etag = None
    server.plans = [{"cut": 600_000}]
    fetch(wanted(path, server.url), QUICK)
    assert path.read_bytes() == CONTENT and ranges(server) == [None, None]
    path.unlink()
    server.plans = [{"cut": 600_000}]
    fetch(wanted(path, server.url, SHA256), QUICK)
    assert path.read_bytes() == CONTENT and ranges(server)[3].startswith("bytes=") and len(server.asked) == 4
    assert "If-Range" not in server.asked[3][1]


def test_weak_validator_is_not_trusted(server, path):
    server.etag = 'W/"one"'
    server.plans = [{"cut": 600_000}]
    fetch(wanted(path, server.url), QUICK)
    assert path.read_bytes() == CONTENT and ranges(server) == [None, None]


def test_server_without_ranges_starts_over(server, path):
    server.plans = [{"cut": 600_000}, {"ranges": False}]
    fetch(wanted(path, server.url), QUICK)
    assert path.read_bytes() == CONTENT and ranges(server)[1] and len(server.asked) == 2


def test_file_that_changed_between_attempts_is_taken_whole(server, path):
    server.plans = [{"cut": 600_000}]
    with pytest.raises(DownloadError):
        fetch(wanted(path, server.url), Patience(5, 1, 0))
    server.content, server.etag = CONTENT[::-1], '"two"'
    fetch(wanted(path, server.url), QUICK)
    assert path.read_bytes() == CONTENT[::-1] and len(server.asked) == 2


def test_pieces_of_two_files_are_found_by_the_sha256(server, path):
    """A mirror without validators continues a part of another file of the same length."""
    path.parent.mkdir()
    partial(path).write_bytes(bytes(1000))
    server.etag = None
    fetch(wanted(path, server.url, SHA256), QUICK)
    assert path.read_bytes() == CONTENT and ranges(server) == ["bytes=1000-", None]


def test_a_part_that_is_longer_than_the_file_starts_over(server, path):
    path.parent.mkdir()
    partial(path).write_bytes(bytes(len(CONTENT) + 5))
    fetch(wanted(path, server.url, SHA256), QUICK)
    assert path.read_bytes() == CONTENT and ranges(server) == [f"bytes={len(CONTENT) + 5}-", None]


@pytest.mark.parametrize("answer", ["bytes 7-1499999/1500000", "bytes 1000-1499999/999999999", "nonsense"])
def test_another_range_than_asked_for_starts_over(server, path, answer):
    server.plans = [{"cut": 600_000}, {"headers": {"Content-Range": answer}}]
    fetch(wanted(path, server.url), QUICK)
    assert path.read_bytes() == CONTENT and ranges(server)[2] is None


def test_too_long_a_content_length(server, path):
    server.plans = [{"length": len(CONTENT) + 10, "ranges": False}] * 3
    text = refused(wanted(path, server.url))
    assert "3 times" in text and len(server.asked) == 3


def test_too_short_a_content_length_is_found_by_the_sha256(server, path):
    server.plans = [{"length": len(CONTENT) - 10}]
    assert SHA256 in refused(wanted(path, server.url, SHA256))


def test_stalled_server(server, path):
    server.plans = [{"cut": 700_000, "stall": True}]
    fetch(wanted(path, server.url), Patience(timeout=0.3, attempts=3, pause=0.01))
    assert path.read_bytes() == CONTENT and ranges(server)[1].startswith("bytes=")


def test_server_that_never_answers(server, path):
    server.plans = [{"cut": 0, "stall": True}] * 2
    assert "nothing came for 0.2 s" in refused(wanted(path, server.url), Patience(0.2, 2, 0.01))


def test_no_server(server, path):
    text = refused(wanted(path, "http://127.0.0.1:9/dino.pth"))
    assert "Connection refused" in text and "3 times" in text


@pytest.mark.parametrize("expected", ["0" * 64, "0123abcd"])
def test_wrong_sha256(server, path, expected):
    text = refused(wanted(path, server.url, expected))
    assert f"models.dino.sha256 is {expected}" in text and SHA256 in text and str(len(CONTENT)) in text
    assert left(path) == []


@pytest.mark.parametrize("expected", ["0" * 32, "012345"])
@pytest.mark.parametrize("sha256", [None, SHA256])
def test_wrong_md5(server, path, expected, sha256):
    text = refused(wanted(path, server.url, sha256, expected))
    assert f"models.dino.md5 is {expected} but the file" in text and MD5 in text
    assert "Correct the url or, if this is the file you want, the md5" in text
    assert left(path) == []


def test_where_only_the_start_of_an_md5_is_known_the_first_sha256_counts_too(server, path, capfd):
    fetch(wanted(path, server.url, md5=MD5[:6]), QUICK)
    assert path.read_bytes() == CONTENT and f"sha256 {SHA256} (md5 as expected)" in capfd.readouterr().err
    path.unlink()
    record = path.with_name("dino.pth.fetched.json")
    record.write_text(json.dumps({"sha256": "0" * 64}))
    text = refused(wanted(path, server.url, md5=MD5[:6]))
    assert f"the sha256 of the first download ({record}) is {'0' * 64}" in text and "remove that record" in text


@pytest.mark.parametrize(
    ("status", "requests", "words"),
    [
        (401, 1, "log-in"),
        (403, 1, "log-in"),
        (404, 1, "no such file"),
        (410, 1, "no such file"),
        (416, 1, "mirror"),
        (429, 3, "3 times"),
        (500, 3, "3 times"),
        (503, 3, "3 times"),
    ],
)
def test_refusals(server, path, status, requests, words):
    server.plans = [{"status": status, "body": b"no"}] * 3
    text = refused(wanted(path, server.url, SHA256))
    assert str(status) in text and words in text and SHA256 in text
    assert len(server.asked) == requests and left(path) == []


def test_a_file_that_changed_after_the_first_download_is_refused(server, path):
    fetch(wanted(path, server.url), QUICK)
    path.unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(
        DownloadError, match=r"sha256 of the first download \(.*dino.pth.fetched.json\) is .* remove that record"
    ):
        fetch(wanted(path, server.url), QUICK)
    assert not path.exists()
    server.content = CONTENT
    fetch(wanted(path, server.url), QUICK)
    assert path.read_bytes() == CONTENT


def test_error_that_passes(server, path):
    server.plans = [{"status": 503, "headers": {"Retry-After": "0"}}]
    fetch(wanted(path, server.url), QUICK)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_web_page(server, path, kind):
    server.plans = [{"body": b"\n<!DOCTYPE html><title>Log in</title>", "headers": {"Content-Type": kind}}]
    assert "web page" in refused(wanted(path, server.url))
    assert left(path) == [] and len(server.asked) == 1


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"error": "denied"}', "JSON"),
        (b"Entry not found", "text ('Entry not found')"),
        (b"", "empty"),
        (bytes(5000), "of no known format"),
        (gzip.compress(b"<html>sorry</html>", mtime=0), "packed with gzip (a web page)"),
        ("<!DOCTYPE html>".encode("utf-16"), "web page"),
    ],
)
def test_an_answer_that_is_no_weights_is_not_kept(server, path, body, what):
    server.plans = [{"body": body}]
    assert what in refused(wanted(path, server.url), Patience(5, 1, 0))
    assert left(path) == [] and len(server.asked) == 1


def test_what_else_came_is_named_with_its_sha256(server, path):
    server.plans = [{"body": b"Entry not found"}]
    assert "it is text ('Entry not found'), and was deleted" in refused(wanted(path, server.url, SHA256))


def test_a_link_to_nothing_is_not_downloaded_to(server, path):
    path.parent.mkdir()
    path.symlink_to(path.with_name("gone.pth"))
    with pytest.raises(
        DownloadError, match=r"models\.dino\.checkpoint: .* is a link to .*gone\.pth, which is not there"
    ):
        fetch(wanted(path, server.url), QUICK)
    assert path.is_symlink() and not server.asked


def test_redirects(server, path):
    server.plans = [{"status": 302, "headers": {"Location": "/elsewhere"}}]
    fetch(wanted(path, server.url))
    assert path.read_bytes() == CONTENT and server.asked[1][0] == "/elsewhere"


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/dino.pth"])
def test_redirect_to_something_else_than_http(server, path, target):
    server.plans = [{"status": 302, "headers": {"Location": target}}]
    assert "cannot be followed" in refused(wanted(path, server.url))


def test_endless_redirects(server, path):
    server.plans = [{"status": 302, "headers": {"Location": server.url}}] * 100
    assert "cannot be followed" in refused(wanted(path, server.url))


def test_name_on_the_hub_gets_the_token_and_no_other_host_does(server, path, monkeypatch, capfd):
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    server.plans = [{"status": 302, "headers": {"Location": f"http://localhost:{server.server_port}/cdn"}}]
    fetch(wanted(path, "hf://facebook/dinov3-vitb16@abc/sub/model.safetensors", SHA256))
    (asked, headers), (elsewhere, other) = server.asked
    assert asked == "/facebook/dinov3-vitb16/resolve/abc/sub/model.safetensors"
    assert headers["Authorization"] == "Bearer hf_secret"
    assert elsewhere == "/cdn" and "Authorization" not in other
    fetch(wanted(path.with_name("b.pth"), server.url))
    assert "Authorization" not in server.asked[-1][1]
    texts = [capfd.readouterr().err, *(file.read_text() for file in path.parent.glob("*.json"))]
    assert not any("hf_secret" in text for text in texts)


def test_gated_model_without_token(server, path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    server.plans = [{"status": 401}]
    text = refused(wanted(path, "hf://facebook/dinov3-vitb16/model.safetensors"))
    assert "HF_TOKEN" in text and "licence" in text
    assert server.asked[0][0] == "/facebook/dinov3-vitb16/resolve/main/model.safetensors"


def test_signatures_and_passwords_are_not_shown(server, path, capfd):
    url = server.url.replace("http://", "http://me:pass@") + "?Signature=abc"
    server.plans = [{"cut": 600_000}]
    fetch(wanted(path, url), QUICK)
    assert server.asked[0][0].endswith("?Signature=abc")
    path.unlink()
    server.plans = [{"status": 403}]
    with pytest.raises(DownloadError) as caught:
        fetch(wanted(path, url))
    with pytest.raises(DownloadError) as broken:
        fetch(wanted(path, "http://me:pass@127.0.0.1:9/x.pth?Signature=abc"), QUICK)
    record = (path.parent / "dino.pth.fetched.json").read_text()
    for text in (capfd.readouterr().err, str(caught.value), str(broken.value), record):
        assert "abc" not in text and "pass@" not in text


@pytest.mark.parametrize("value", ["1", "true"])
def test_offline(server, path, monkeypatch, value):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert "HF_HUB_OFFLINE" in refused(wanted(path, server.url, SHA256))
    assert "hf://a/b/c.pth" in refused(wanted(path, "hf://a/b/c.pth"))
    assert not server.asked and left(path) == []


def test_file_on_this_machine_even_offline(tmp_path, path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    source = tmp_path / "given weights.pth"
    source.write_bytes(CONTENT)
    fetch(wanted(path, source.as_uri(), SHA256))
    assert path.read_bytes() == source.read_bytes() == CONTENT
    path.unlink()
    with pytest.raises(DownloadError, match=r"file:///nowhere\.pth cannot be read"):
        fetch(wanted(path, "file:///nowhere.pth"))


def test_no_url(path):
    assert "models.dino.url" in refused(wanted(path, None, SHA256))


@pytest.mark.parametrize("url", ["ftp://host/x.pth", "dino.pth", "hf://model.pth", "https:///x.pth", "http://[::1"])
def test_not_an_address(path, url):
    with pytest.raises(DownloadError, match=r"models\.dino\.url: .* is not an address"):
        fetch(wanted(path, url))


def test_file_that_is_there_stays(server, path):
    path.parent.mkdir()
    path.write_bytes(b"mine")
    partial(path).write_bytes(b"left over")
    fetch(wanted(path, server.url, SHA256))
    assert path.read_bytes() == b"mine" and not server.asked and left(path) == ["dino.pth"]


@pytest.mark.parametrize("end", [CONTENT[100:], b"broken"])
def test_file_put_there_during_the_download_stays(server, path, end):
    server.content = CONTENT[:100] + end
    server.plans = [{"cut": 100, "stall": True}]
    thread = threading.Thread(target=fetch, args=(wanted(path, server.url, SHA256), QUICK))
    thread.start()
    assert server.stalled.wait(10)
    path.write_bytes(b"mine")
    server.go_on.set()
    thread.join()
    assert path.read_bytes() == b"mine" and left(path) == ["dino.pth"]


def test_two_runs_download_once(server, path):
    server.plans = [{"cut": 700_000, "stall": True}]
    threads = [threading.Thread(target=fetch, args=(wanted(path, server.url), QUICK)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert server.stalled.wait(10)
    time.sleep(0.3)
    server.go_on.set()
    for thread in threads:
        thread.join()
    assert path.read_bytes() == CONTENT and len(server.asked) == 1
    assert left(path) == ["dino.pth", "dino.pth.fetched.json"]


def process(path, url, sha256="", **options):
    command = [sys.executable, "-c", FETCH, str(path), url, sha256]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def test_killed_download_goes_on(server, path):
    server.plans = [{"cut": 700_000, "stall": True}]
    killed = process(path, server.url)
    assert server.stalled.wait(30)
    deadline = time.time() + 10
    while partial(path).stat().st_size < 700_000 - 2**18 and time.time() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    size = partial(path).stat().st_size
    assert size and not path.exists()
    fetch(wanted(path, server.url), QUICK)
    assert path.read_bytes() == CONTENT and ranges(server) == [None, f"bytes={size}-"]


def test_full_disk_keeps_what_came(server, path):
    """A limit on the size of files stands for the full disk: the kernel writes up to it and then refuses."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    full = process(path, server.url, preexec_fn=limit)
    text = full.communicate(timeout=60)[1]
    assert full.returncode and "cannot be written (File too large)" in text and "free some space" in text
    assert not path.exists() and partial(path).stat().st_size == 1_000_000
    fetch(wanted(path, server.url), QUICK)
    assert path.read_bytes() == CONTENT and ranges(server) == [None, "bytes=1000000-"]


def test_file_larger_than_the_disk_is_not_begun(server, path):
    server.plans = [{"length": 10**18, "cut": 1000}]
    with pytest.raises(DownloadError, match=r"No space left on device.*free some space"):
        fetch(wanted(path, server.url), QUICK)
    assert len(server.asked) == 1 and left(path) == []


def test_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(DownloadError, match="checkpoint_root"):
        fetch(wanted(tmp_path / "checkpoints/dino.pth", server.url))
    assert not server.asked and left(tmp_path / "checkpoints") == ["checkpoints"]


def test_what_a_mirror_has_not_is_named_with_the_models_own_address(path, tmp_path, monkeypatch):
    own, mirror = "https://example.org/dino.pth", (tmp_path / "mirror/dino.pth").as_uri()
    assert f"get {mirror} or {own} elsewhere" in refused(Checkpoint("dino", path, own, None, mirror=mirror))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert f"get http://127.0.0.1:9/dino.pth or {own} elsewhere" in refused(
        Checkpoint("dino", path, own, None, mirror="http://127.0.0.1:9/dino.pth")
    )
