"""One attempt to get what is missing of a file from one address.

HTTP: ranges, ``If-Range`` and ``Content-Range`` are those of RFC 9110, sections 13.1.5 and 14.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

import huggingface_hub
import requests

from patchprobe.downloads.addresses import HUB, check_address, is_offline, local_path, without_secrets
from patchprobe.downloads.contents import BEGINNING, is_web_page
from patchprobe.downloads.partial_file import PartialFile
from patchprobe.downloads.wanted import Wanted
from patchprobe.errors import ConfigError, DownloadError, shown
from patchprobe.progress import Progress

_CHUNK = 1 << 18
_TRANSIENT = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Source:
    """An address that can be asked, and what messages and records hold of it."""

    address: str
    shown: str
    hub: bool


class BrokenError(Exception):
    """An attempt failed in a way that another one may not; ``pause`` is the wait the server asks for, in seconds."""

    def __init__(self, reason: str, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.pause = pause


class RefusedError(Exception):
    """An address does not have the file, and asking again is of no use; the text says why and what to correct."""


def sources(wanted: Wanted) -> list[Source]:
    """Return the addresses of a file, to be asked in this order; raises DownloadError if there are none that may be."""
    keys = wanted.keys
    if not wanted.addresses:
        raise DownloadError(
            f"{keys.place}: there is no file {wanted.path} and {keys.address} does not say where to get it: "
            f"set it, or {wanted.by_hand}"
        )
    found = [_source(keys.address, address) for address in wanted.addresses]
    allowed = [source for source in found if source.address.startswith("file:") or not is_offline()]
    if not allowed:
        raise DownloadError(
            f"{keys.place}: there is no file {wanted.path}, and nothing is fetched because HF_HUB_OFFLINE is "
            f"set: {wanted.by_hand}"
        )
    return allowed


def _source(key: str, address: str) -> Source:
    try:
        check_address(key, address)
    except ConfigError as error:
        raise DownloadError(str(error)) from None
    match = HUB.fullmatch(address)
    if not match:
        return Source(address, without_secrets(address), False)
    url = huggingface_hub.hf_hub_url(
        match["repo"],
        match["file"],
        repo_type="dataset" if match["datasets"] else None,
        revision=match["revision"],
        endpoint=os.environ.get("HF_ENDPOINT") or None,
    )
    return Source(url, address, True)


def attempt(source: Source, wanted: Wanted, partial: PartialFile, timeout: float) -> None:
    """Ask once for what is missing, and append what comes; raises BrokenError if it is not all, RefusedError if it will
    never be."""
    if source.address.startswith("file:"):
        _copy(source, wanted, partial)
        return
    headers = partial.range_headers(source.shown, anyway=bool(wanted.digests))
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
                _prepare(response, source, wanted, partial)
                _append(response.iter_content(_CHUNK), source, wanted, partial)
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, requests.TooManyRedirects) as error:
        raise RefusedError(
            f"{wanted.keys.address}: {source.shown} leads to an address that cannot be followed ({type(error).__name__})"
        ) from error
    except requests.Timeout as error:
        raise BrokenError(f"nothing came for {timeout:g} s") from error
    except requests.RequestException as error:
        raise BrokenError(_reason(error, timeout)) from error
    if partial.total is not None and partial.size != partial.total:
        raise BrokenError(f"{partial.size} bytes came in place of {partial.total}")


def _copy(source: Source, wanted: Wanted, partial: PartialFile) -> None:
    with _unreadable(source, wanted):
        file = local_path(source.address).open("rb")
    with file:
        partial.restart(source.shown, None, os.fstat(file.fileno()).st_size)
        _append(_chunks(file, source, wanted), source, wanted, partial)


def _chunks(file: IO[bytes], source: Source, wanted: Wanted) -> Iterator[bytes]:
    while True:
        # The reading alone: what the writing raises is about another disk.
        with _unreadable(source, wanted):
            chunk = file.read(_CHUNK)
        if not chunk:
            return
        yield chunk


@contextlib.contextmanager
def _unreadable(source: Source, wanted: Wanted) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RefusedError(f"{wanted.keys.address}: {source.shown} cannot be read ({error.strerror})") from error


def _check_answer(response: requests.Response, source: Source, wanted: Wanted, partial: PartialFile) -> None:
    """Raise BrokenError for an answer that may be better next time, RefusedError for one that will not."""
    status, key = response.status_code, wanted.keys.address
    if status in (200, 206):
        if "html" in response.headers.get("Content-Type", "").lower():
            raise _web_page(source, wanted)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise RefusedError(f"{key}: {source.shown} comes packed, which cannot be checked")
        return
    if status == 416 and partial.size:
        partial.restart(None, None, None)
        raise BrokenError("the server has no such range, so that the file must have changed")
    answer = f"{source.shown} answers {status} ({shown(response.reason or 'no reason given')})"
    if status in _TRANSIENT:
        raise BrokenError(answer, float(_number(response.headers.get("Retry-After", "")) or 0))
    if status in (401, 403):
        remedy = (
            "correct the name or, if its page asks for it, accept the licence there and give your token in the "
            "environment variable HF_TOKEN"
            if source.hub
            else "the file needs a log-in or its address has expired"
        )
    else:
        gone = "there is no such file (any more): " if status in (404, 410) else ""
        what = (
            "put it there, or correct mirror" if key.endswith(" by mirror") else f"correct {key}, it may name a mirror"
        )
        remedy = gone + what
    raise RefusedError(f"{key}: {answer}: {remedy}")


def _prepare(response: requests.Response, source: Source, wanted: Wanted, partial: PartialFile) -> None:
    """Make the partial file end where the body begins."""
    if response.status_code == 200:
        length = _number(response.headers.get("Content-Length", ""))
        if None not in (length, wanted.size) and length != wanted.size:
            raise RefusedError(
                f"{wanted.keys.address}: {source.shown} has a file of {length} bytes in place of {wanted.size}, so another one"
            )
        if partial.size:
            print("the server sends the file from its first byte: it changed, or cannot be resumed", file=sys.stderr)
        validator = response.headers.get("ETag", "")
        if not validator or validator.startswith("W/"):  # weak ones do not vouch for bytes
            validator = response.headers.get("Last-Modified", "")
        partial.restart(source.shown, validator or None, length)
        return
    match = re.fullmatch(r"bytes (\d{1,30})-\d{1,30}/(\d{1,30}|\*)", response.headers.get("Content-Range", ""))
    same_total = match and (match[2] == "*" or partial.total in (None, int(match[2])))
    if not match or not same_total or int(match[1]) != partial.size:
        partial.restart(None, None, None)
        raise BrokenError("the server sent another range than was asked for")
    print(f"going on after {partial.size} bytes", file=sys.stderr)
    partial.pieced = True
    if partial.total is None and match[2] != "*":
        partial.total = int(match[2])


def _append(chunks: Iterable[bytes], source: Source, wanted: Wanted, partial: PartialFile) -> None:
    if partial.total is None:
        partial.total = wanted.size
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
                partial.restart(None, None, None)
                raise _web_page(source, wanted)
            if wanted.size is not None and partial.size + len(chunk) > wanted.size:
                partial.restart(None, None, None)
                raise RefusedError(
                    f"{wanted.keys.address}: {source.shown} sends more than the {wanted.size} bytes of the file, so another one"
                )
            partial.append(chunk)
            progress.update(len(chunk))


class _Bearer(requests.auth.AuthBase):
    """The hub's token; requests drops it when a redirect leads to another host."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _web_page(source: Source, wanted: Wanted) -> RefusedError:
    return RefusedError(
        f"{wanted.keys.address}: {source.shown} answers with a web page, probably to log in or to accept a "
        "licence; name the address of the file itself"
    )


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
