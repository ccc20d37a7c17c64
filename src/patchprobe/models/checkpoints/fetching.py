"""Getting a model's checkpoint from an address: resumed, checked, and whole or absent.

A download grows in a hidden file beside its place (:mod:`patchprobe.models.checkpoints.partial_file`), and the next run goes on from
whatever is there. Only a file whose length and SHA-256 are right gets its name, and never in place of another file.

HTTP: ranges, ``If-Range`` and ``Content-Range`` are those of RFC 9110, sections 13.1.5 and 14.
"""

import contextlib
import errno
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

import huggingface_hub
import requests

from patchprobe.errors import ConfigError, ModelError, StoreError, printable, shown
from patchprobe.files import write_atomic
from patchprobe.models.checkpoints.files import BEGINNING, HUB, check_address, format_of, is_web_page, stranger
from patchprobe.models.checkpoints.partial_file import PartialFile, partial_file
from patchprobe.progress import Progress

_CHUNK = 1 << 18
_TRANSIENT = {408, 429, 500, 502, 503, 504}
_LONGEST_PAUSE = 60.0


@dataclass(frozen=True)
class Checkpoint:
    """The file of a model: where it belongs, where it can be had, and the SHA-256 (or its first digits) if known."""

    model: str
    path: Path
    url: str | None
    sha256: str | None


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for: seconds without a byte, attempts in all, seconds before the second attempt
    (doubled before each further one)."""

    timeout: float = 60.0
    attempts: int = 6
    pause: float = 2.0


def fetch(wanted: Checkpoint, patience: Patience | None = None) -> None:
    """Get ``wanted.path`` from ``wanted.url``, unless it is there, and record origin and SHA-256 beside it.

    ``url`` is ``https://``, ``http://``, ``file://`` or ``hf://<organisation>/<repository>[@<revision>]/<file>`` on
    the Hugging Face hub, to which alone the token in the environment's ``HF_TOKEN`` is sent; ``HF_ENDPOINT`` names
    another hub. With ``HF_HUB_OFFLINE`` set nothing is fetched but ``file://``.

    A file that is there is left as it is, also one that somebody puts there meanwhile. The record is
    ``<name>.fetched.json``. Raises ModelError, saying what to put where, if the file cannot be had or is not the
    right one: it has another SHA-256 or, where none is known, begins like no file of weights.
    """
    if wanted.path.is_symlink() and not wanted.path.exists():
        raise ModelError(
            f"models.{wanted.model}.checkpoint: {wanted.path} is a link to {wanted.path.readlink()}, which is not there; "
            "correct the link, or remove it to fetch the file"
        )
    try:
        with _readable_disk_errors(wanted), partial_file(wanted.path) as partial:
            if partial is not None:
                _fetch(wanted, partial, patience or Patience())
                return
    except ModelError as error:
        if not wanted.path.exists():
            raise
        print(error, file=sys.stderr)
    print(f"{wanted.path} is there: taken as it is", file=sys.stderr)


def _fetch(wanted: Checkpoint, partial: PartialFile, patience: Patience) -> None:
    source = _Source.of(wanted)
    _receive(source, wanted, partial, patience)
    digest = partial.sha256()
    if partial.pieced and not _fits(digest, wanted.sha256):
        print("the pieces do not make the right file: starting again from the first byte", file=sys.stderr)
        partial.restart(None, None, None)
        _receive(source, wanted, partial, patience)
        digest = partial.sha256()
    size, beginning = partial.size, partial.beginning(BEGINNING)
    what = stranger(beginning) or ("" if format_of(beginning) else "of no known format")
    if not _fits(digest, wanted.sha256):
        partial.discard()
        raise ModelError(
            f"models.{wanted.model}.sha256 is {wanted.sha256} but the file from {source.shown} has {digest} "
            f"({size} bytes): it is {what or 'another file, or was damaged on the way'}, and was deleted. Correct the url or, if "
            f"this is the file you want, the sha256; or {_by_hand(wanted)}"
        )
    if what and not wanted.sha256:
        partial.discard()
        raise ModelError(
            f"models.{wanted.model}.url: what {source.shown} answers with is {what}, not weights ({size} bytes, deleted); "
            f"name the address of the file itself, or {_by_hand(wanted)}"
        )
    record = {"url": source.shown, "sha256": digest, "bytes": size}
    # Before the file has its name: a job that ends without a record has no file either.
    write_atomic(_record(wanted), json.dumps(record, indent=1) + "\n")
    try:
        partial.place()
    except FileExistsError:
        _record(wanted).unlink()
        partial.discard()
        raise ModelError(f"{wanted.path} was put there during the download, which is dropped: run again") from None
    known = "as expected" if wanted.sha256 else f"set models.{wanted.model}.sha256 to have it checked"
    print(f"{wanted.path}: {size} bytes, sha256 {digest} ({known})", file=sys.stderr)


def _record(wanted: Checkpoint) -> Path:
    return wanted.path.with_name(f"{wanted.path.name}.fetched.json")


@contextlib.contextmanager
def _readable_disk_errors(wanted: Checkpoint) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            remedy = "free some space and run again: what has come is kept and the download goes on from there"
        else:
            remedy = "set checkpoint_root to a folder that you can write"
        raise ModelError(f"{wanted.path} cannot be written ({error.strerror}): {remedy}") from error
    except StoreError as error:
        raise ModelError(f"models.{wanted.model}.checkpoint: {error}") from error


@dataclass(frozen=True)
class _Source:
    """An address that can be asked; ``shown`` is what messages and records hold of it: no name, password or query,
    since queries may hold signatures that are as good as a password."""

    address: str
    shown: str
    hub: bool

    @classmethod
    def of(cls, wanted: Checkpoint) -> "_Source":
        key = f"models.{wanted.model}"
        if not wanted.url:
            raise ModelError(
                f"{key}.checkpoint: there is no file {wanted.path} and {key}.url does not say where to get it: "
                f"set it, or {_by_hand(wanted)}"
            )
        try:
            check_address(f"{key}.url", wanted.url)
        except ConfigError as error:
            raise ModelError(str(error)) from None
        parts = urlsplit(wanted.url)
        shown = _without_secrets(parts)
        if parts.scheme == "file":
            return cls(wanted.url, shown, False)
        if _offline():
            raise ModelError(
                f"{key}.checkpoint: there is no file {wanted.path}, and nothing is fetched because HF_HUB_OFFLINE is "
                f"set: {_by_hand(wanted)}"
            )
        match = HUB.fullmatch(wanted.url)
        if not match:
            return cls(wanted.url, shown, False)
        address = huggingface_hub.hf_hub_url(
            match["repo"],
            match["file"],
            revision=match["revision"],
            endpoint=os.environ.get("HF_ENDPOINT") or None,
        )
        return cls(address, wanted.url, True)


class _BrokenError(Exception):
    """An attempt failed in a way that another one may not; ``pause`` is the wait the server asks for, in seconds."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


def _receive(source: _Source, wanted: Checkpoint, partial: PartialFile, patience: Patience) -> None:
    """Fill the partial file, in as many attempts as it takes and patience allows."""
    if source.address.startswith("file:"):
        _copy(source, wanted, partial)
        return
    pause = patience.pause
    for attempt in range(1, patience.attempts + 1):
        try:
            _attempt(source, wanted, partial, patience.timeout)
            return
        except _BrokenError as broken:
            reason = str(broken)
            wait = min(max(pause, broken.pause), _LONGEST_PAUSE)
        if attempt < patience.attempts:
            print(
                f"{source.shown}: {reason}; {partial.size} bytes are there, going on in {wait:g} s "
                f"(attempt {attempt + 1} of {patience.attempts})",
                file=sys.stderr,
            )
            time.sleep(wait)
            pause *= 2
    raise ModelError(
        f"models.{wanted.model}.url: {source.shown} failed {patience.attempts} times, at last: {reason}. The "
        f"{partial.size} bytes that came are kept and the next run goes on from there; or {_by_hand(wanted)}"
    )


def _copy(source: _Source, wanted: Checkpoint, partial: PartialFile) -> None:
    path = Path(url2pathname(urlsplit(source.address).path))
    try:
        with path.open("rb") as file:
            partial.restart(source.shown, None, path.stat().st_size)
            _append(iter(lambda: file.read(_CHUNK), b""), source, wanted, partial)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise ModelError(f"models.{wanted.model}.url: {source.shown} cannot be read ({error.strerror})") from error


def _attempt(source: _Source, wanted: Checkpoint, partial: PartialFile, timeout: float) -> None:
    """Ask once for what is missing, and append what comes; raises _BrokenError if it is not all."""
    headers = partial.range_headers(source.shown, anyway=wanted.sha256 is not None)
    if headers is None:
        return
    try:
        with requests.Session() as session:
            session.headers.update({"User-Agent": "patchprobe", "Accept-Encoding": "identity"})
            token = os.environ.get("HF_TOKEN") if source.hub else None
            with session.get(
                source.address,
                headers=headers,
                stream=True,
                timeout=timeout,
                auth=_Bearer(token) if token else None,
            ) as response:
                _check_answer(response, source, wanted, partial)
                _prepare(response, source, partial)
                _append(response.iter_content(_CHUNK), source, wanted, partial)
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, requests.TooManyRedirects) as error:
        raise ModelError(
            f"models.{wanted.model}.url: {source.shown} leads to an address that cannot be followed "
            f"({type(error).__name__}); or {_by_hand(wanted)}"
        ) from error
    except requests.Timeout as error:
        raise _BrokenError(f"nothing came for {timeout:g} s") from error
    except requests.RequestException as error:
        raise _BrokenError(_reason(error, timeout)) from error
    if partial.total is not None and partial.size != partial.total:
        raise _BrokenError(f"{partial.size} bytes came in place of {partial.total}")


def _check_answer(response: requests.Response, source: _Source, wanted: Checkpoint, partial: PartialFile) -> None:
    """Raise _BrokenError for an answer that may be better next time, ModelError for one that will not."""
    status, key = response.status_code, f"models.{wanted.model}.url"
    if status in (200, 206):
        if "html" in response.headers.get("Content-Type", "").lower():
            raise _web_page(source, wanted)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise ModelError(f"{key}: {source.shown} comes packed, which cannot be checked; or {_by_hand(wanted)}")
        return
    if status == 416 and partial.size:
        partial.restart(None, None, None)
        raise _BrokenError("the server has no such range, so that the file must have changed")
    answer = f"{source.shown} answers {status} ({shown(response.reason or 'no reason given')})"
    if status in _TRANSIENT:
        raise _BrokenError(answer, float(_number(response.headers.get("Retry-After", "")) or 0))
    if status in (401, 403):
        remedy = (
            "correct the name or, if the model's page asks for it, accept the licence there and give your token in the "
            "environment variable HF_TOKEN"
            if source.hub
            else "the file needs a log-in or its address has expired"
        )
    elif status in (404, 410):
        remedy = f"there is no such file (any more): correct {key}, it may name a mirror"
    else:
        remedy = f"correct {key}, it may name a mirror"
    raise ModelError(f"{key}: {answer}: {remedy}; or {_by_hand(wanted)}")


def _prepare(response: requests.Response, source: _Source, partial: PartialFile) -> None:
    """Make the partial file end where the body begins."""
    if response.status_code == 200:
        if partial.size:
            print("the server sends the file from its first byte: it changed, or cannot be resumed", file=sys.stderr)
        length = _number(response.headers.get("Content-Length", ""))
        validator = response.headers.get("ETag", "")
        if not validator or validator.startswith("W/"):  # weak ones do not vouch for bytes
            validator = response.headers.get("Last-Modified", "")
        partial.restart(source.shown, validator or None, length)
        return
    match = re.fullmatch(r"bytes (\d{1,30})-\d{1,30}/(\d{1,30}|\*)", response.headers.get("Content-Range", ""))
    same_total = match and (match[2] == "*" or partial.total in (None, int(match[2])))
    if not match or not same_total or int(match[1]) != partial.size:
        partial.restart(None, None, None)
        raise _BrokenError("the server sent another range than was asked for")
    print(f"going on after {partial.size} bytes", file=sys.stderr)
    partial.pieced = True
    if partial.total is None and match[2] != "*":
        partial.total = int(match[2])


def _append(chunks: Iterable[bytes], source: _Source, wanted: Checkpoint, partial: PartialFile) -> None:
    partial.need_space()
    with Progress(
        file=sys.stderr,
        desc=wanted.path.name,
        total=partial.total,
        initial=partial.size,
        unit="B",
        unit_scale=True,
        unit_divisor=1000,
    ) as progress:
        for chunk in chunks:
            if not partial.size and is_web_page(chunk[:BEGINNING]):
                partial.discard()
                raise _web_page(source, wanted)
            partial.append(chunk)
            progress.update(len(chunk))


class _Bearer(requests.auth.AuthBase):
    """The hub's token; requests drops it when a redirect leads to another host."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _fits(digest: str, expected: str | None) -> bool:
    return expected is None or digest.startswith(expected.lower())


def _by_hand(wanted: Checkpoint) -> str:
    origin = f"get {_without_secrets(urlsplit(wanted.url))} elsewhere" if wanted.url else "get it"
    known = f" (sha256 {wanted.sha256})" if wanted.sha256 else ""
    return f"{origin} and put it into the folder {wanted.path.parent.resolve()} as {wanted.path.name}{known}"


def _web_page(source: _Source, wanted: Checkpoint) -> ModelError:
    return ModelError(
        f"models.{wanted.model}.url: {source.shown} answers with a web page, probably to log in or to accept a "
        f"licence; name the address of the file itself, or {_by_hand(wanted)}"
    )


def _without_secrets(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    return printable(f"{parts.scheme}://{host}{parts.path}") + ("?…" if parts.query else "")


def _reason(error: BaseException, timeout: float) -> str:
    """Say what happened; the outer errors name the whole address, with its secrets."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    if isinstance(error, TimeoutError):
        return f"nothing came for {timeout:g} s"
    return shown(str(error) or type(error).__name__)


def _number(text: str) -> int | None:
    """Read a number of a header; None for anything else, as one that no file's length can be."""
    return int(text) if re.fullmatch(r"\d{1,30}", text, re.ASCII) else None
