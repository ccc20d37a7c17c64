"""Object storage that speaks S3: whole objects below a prefix, and one message with the remedy where it does not answer.

Credentials, region and endpoint come from the environment alone (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_SESSION_TOKEN``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``), or from the role of the machine. An object is put whole or not
at all; that is all that is asked of the storage.
"""

import os
import re
from collections.abc import Iterable
from datetime import timedelta
from functools import cached_property
from typing import Any, NamedTuple

from patchprobe.errors import StorageError

# Jobs on any machine of a workflow get it with their environment.
_VARIABLE = "PATCHPROBE_OBJECT_STORAGE"
# How long an operation is tried again, in seconds, when the server does not answer or is too busy.
_PATIENCE = 60.0
_BATCH = 500


class ObjectFacts(NamedTuple):
    """Size of an object in bytes, and its tag, which is the MD5 of its bytes on most storages."""

    bytes: int
    tag: str


def announce(url: str | None) -> None:
    """Let this process, and those it starts, put stores that they finish below ``url``, or nowhere but on the disk."""
    if url is None:
        os.environ.pop(_VARIABLE, None)
    else:
        os.environ[_VARIABLE] = url.rstrip("/")


def announced() -> str | None:
    """Return the prefix that was announced, without a slash at its end; None if there is none."""
    return os.environ.get(_VARIABLE) or None


class ObjectStorage:
    """The objects below a prefix, ``s3://bucket/prefix``, by their paths below it. Threads may share it.

    All methods raise StorageError, naming address and remedy, if the storage does not answer within ``patience`` seconds, or
    takes longer than ``longest`` for one request, refuses the credentials or has no such bucket.
    """

    def __init__(self, url: str, *, patience: float | None = None, longest: float = 300) -> None:
        self.url = url.rstrip("/")
        self._patience = _PATIENCE if patience is None else patience
        self._longest = longest

    @cached_property
    def _store(self) -> Any:
        try:
            # Imported where it is needed: it is an optional part of the installation.
            from obstore.store import from_url
        except ImportError:
            raise StorageError(
                f"object storage {self.url} needs the package obstore: install it (pip install 'patchprobe[s3]'), or set "
                "object_storage: null"
            ) from None
        endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
        if endpoint and not re.match(r"https?://", endpoint):
            raise StorageError(f"AWS_ENDPOINT_URL is {endpoint}: write it with http:// or https:// in front")
        plain = endpoint.startswith("http://")
        retries: Any = {"max_retries": 1000, "retry_timeout": timedelta(seconds=self._patience)}
        options: Any = {"allow_http": plain, "connect_timeout": "5s", "timeout": f"{self._longest:g}s"}
        try:
            return from_url(self.url, retry_config=retries, client_options=options)
        except Exception as error:
            raise self._explained(error) from None

    def put(self, path: str, content: bytes) -> None:
        """Write an object: when it returns the object is there, whole; before, what was there is."""
        import obstore

        store = self._store
        try:
            obstore.put(store, path, content, use_multipart=False)
        except Exception as error:
            raise self._explained(error) from None

    def get(self, path: str) -> bytes | None:
        """Return the bytes of an object; None if there is none."""
        store = self._store
        try:
            import obstore

            return bytes(obstore.get(store, path).bytes())
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._explained(error) from None
            return None
        except Exception as error:
            raise self._explained(error) from None

    def entries(self) -> dict[str, ObjectFacts]:
        """Return size and tag of every object below the prefix, by path."""
        store = self._store
        try:
            import obstore

            pages = obstore.list(store)
            objects = [facts for page in pages for facts in page]
        except Exception as error:
            raise self._explained(error) from None
        return {str(o["path"]): ObjectFacts(int(o["size"]), str(o["e_tag"] or "").strip('"')) for o in objects}

    def folders(self) -> list[str]:
        """Return the names of what lies below the prefix and has further objects below itself."""
        store = self._store
        try:
            import obstore

            found = obstore.list_with_delimiter(store)["common_prefixes"]
        except Exception as error:
            raise self._explained(error) from None
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)

    def delete(self, paths: Iterable[str]) -> None:
        """Delete objects, whether they are there or not."""
        gone, store = sorted(paths), self._store
        try:
            import obstore

            for start in range(0, len(gone), _BATCH):
                obstore.delete(store, gone[start : start + _BATCH])
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._explained(error) from None
        except Exception as error:
            raise self._explained(error) from None

    def check(self) -> None:
        """Write, read and delete a small object, so that what is wrong is known before there is much to write."""
        path = f".patchprobe-probe-{os.getpid()}"
        self.put(path, b"probe")
        if self.get(path) != b"probe":
            raise StorageError(f"{self.url} does not give back what was put there; see that no proxy stands before it")
        self.delete([path])

    def _explained(self, error: Exception) -> StorageError:
        text, bucket = str(error), self.url.removeprefix("s3://").partition("/")[0]
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        where = f"{self.url} at {endpoint}" if endpoint else self.url
        code = re.search(r"<Code>(\w+)</Code>", text)
        told = f" ({code[1]})" if code else ""
        if "NoSuchBucket" in text or (isinstance(error, FileNotFoundError) and not code):
            return StorageError(
                f"object storage {where}: there is no bucket {bucket}{told}; create it, or correct object_storage or "
                "AWS_ENDPOINT_URL, and run again"
            )
        if "169.254.169.254" in text or "169.254.170" in text:
            return StorageError(
                f"object storage {where}: there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the "
                "environment, and run again"
            )
        if re.search(r"Missing (AccessKeyId|SecretAccessKey)", text):
            return StorageError(
                f"object storage {where}: one half of the credentials is missing; set both AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY in the environment, and run again"
            )
        if type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError") or re.search(r"\b40[13] ", text):
            return StorageError(
                f"object storage {where}: the credentials are refused{told}; correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY "
                "and AWS_SESSION_TOKEN in the environment, permit them to list, read, write and delete there, and run again"
            )
        first = text.partition("\n")[0][:300]
        return StorageError(
            f"object storage {where} does not work ({first}); see that AWS_ENDPOINT_URL, if set, and AWS_REGION are right and "
            "the server answers, and run again: what is finished is kept"
        )
