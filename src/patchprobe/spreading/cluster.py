"""The scheduler of dask whose workers the evaluations of a run are spread over, and this process's connection to it.

What the configuration says under ``dask`` is announced in the environment, so that the jobs of a run find it; it is part of
no spec, since no result depends on it. Messages name the key.
"""

import atexit
import json
import logging
import os
import socket
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from patchprobe.errors import ConfigError

ANNOUNCED = "PATCHPROBE_DASK"
"""The variable that holds the announced settings as JSON; absent where evaluations stay in their job."""

THREADS, DISTRIBUTED, SLURM = "threads", "distributed", "slurm"
FOLDER = Path(".snakemake/patchprobe-dask")
"""What jobs lay out for workers, below the folder of the run, which all of them see."""

_CONNECT = "10s"  # until a scheduler that is there has answered
_log = logging.getLogger(__name__)
_inside = threading.local()
_lock = threading.Lock()
_connection: "Connection | None" = None


class Connection:
    """A client of the announced scheduler; ``patience`` is how many seconds work waits without any worker."""

    def __init__(self, client: Any, settings: Mapping[str, Any], text: str) -> None:
        self.client = client
        self.patience = float(settings["patience"])
        self.own = settings["scheduler"] in (DISTRIBUTED, SLURM)
        self.address = str(settings["address"])
        self.text = text
        self.process = os.getpid()

    def workers(self) -> dict[str, Any]:
        """Return what the scheduler last said of its workers that take work, by address."""
        known = self.client.scheduler_info(n_workers=-1)["workers"]
        return {name: facts for name, facts in known.items() if facts.get("status", "running") == "running"}

    @property
    def alive(self) -> bool:
        """Whether the scheduler is still connected."""
        return bool(self.client.status == "running")

    def nobody(self) -> ConfigError:
        """Return the error for a scheduler that has no worker, or none that takes work."""
        known = self.client.scheduler_info(n_workers=-1)["workers"]
        paused = sum(facts.get("status") == "paused" for facts in known.values())
        if paused:
            return ConfigError(
                f"dask.scheduler: all {paused} workers of the scheduler at {self.address} are paused, because their memory is full; "
                "start them with a higher --memory-limit"
            )
        return ConfigError(
            f"dask.scheduler: the scheduler at {self.address} has no workers, for {self.patience:g} s (dask.patience); "
            f"{self._remedy()}"
        )

    def gone(self) -> ConfigError:
        """Return the error for a scheduler that was there and is not any more."""
        return ConfigError(
            f"dask.scheduler: the scheduler at {self.address} went away while it was at work; {self._remedy()}, and run again: "
            "what is finished is kept"
        )

    def _remedy(self) -> str:
        return (
            "see logs/dask.log for what ended it, or set dask.scheduler: threads" if self.own else remedy(self.address)
        )


def remedy(address: str) -> str:
    """Return what to do about a scheduler that others have to start."""
    return (
        f"start `dask scheduler` and `dask worker {address}` in this environment, or set dask.scheduler: threads, which "
        "computes in the job"
    )


def announce(settings: Mapping[str, Any] | None, *, address: str | None = None) -> None:
    """Let this process, and those it starts, spread their evaluations as the configuration's ``dask`` says, or not at all.

    ``address`` is that of the scheduler, where one has been started for the run; an address as ``settings["scheduler"]`` is
    its own.
    """
    if settings is None or settings["scheduler"] == THREADS:
        os.environ.pop(ANNOUNCED, None)
        return
    kind = settings["scheduler"]
    known = address or (None if kind in (DISTRIBUTED, SLURM) else kind)
    os.environ[ANNOUNCED] = json.dumps({**settings, "address": known}, sort_keys=True)


def announce_once(settings: Mapping[str, Any]) -> None:
    """Announce settings unless those of a run are announced already, which then know the scheduler's address."""
    known = announced()
    if known is None or settings["scheduler"] == THREADS or known["scheduler"] != settings["scheduler"]:
        announce(settings)


def announced() -> dict[str, Any] | None:
    """Return the announced settings with their ``address``, or None."""
    text = os.environ.get(ANNOUNCED)
    return json.loads(text) if text else None


def connected() -> Connection | None:
    """Return this process's connection to the announced scheduler, made when first asked for; None where work stays here.

    That is so without an announcement, and inside a task that is itself spread. Where a scheduler on this machine is asked for and
    none was started for the run, as in a job on another machine, this process starts its own. The link to the
    dashboard is logged. Raises ConfigError if nobody answers, or no worker comes within the patience.
    """
    global _connection
    text = os.environ.get(ANNOUNCED)
    if not text or getattr(_inside, "task", False):
        return None
    with _lock:
        # A fork has the object and not its threads.
        if _connection is not None and _connection.process != os.getpid():
            _connection = None
        if _connection is not None and (_connection.text != text or not _connection.alive):
            _close()
        if _connection is None:
            _connection = _connect(json.loads(text), text)
            atexit.register(disconnect)
        return _connection


def disconnect() -> None:
    """End this process's connection, if there is one."""
    with _lock:
        _close()


def _close() -> None:
    global _connection
    if _connection is not None and _connection.process == os.getpid():
        _connection.client.close(timeout=2)
    _connection = None


def _connect(settings: dict[str, Any], text: str) -> Connection:
    # Imported where it is needed: it takes half a second of every job.
    from distributed import Client

    if settings["address"] is None:
        settings["address"] = _own_scheduler(settings)
    # What it says of a lost scheduler is a traceback; the error that follows says what to do.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    address = settings["address"]
    own = settings["scheduler"] in (DISTRIBUTED, SLURM)
    try:
        _hear_greeting(address)
        client = Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, OverflowError, ValueError) as error:
        what = (
            "see logs/dask.log for what ended it, and run again; or set dask.scheduler: threads"
            if own
            else remedy(address)
        )
        raise ConfigError(f"dask.scheduler: no scheduler answers at {address} ({error}); {what}") from None
    connection = Connection(client, settings, text)
    try:
        client.wait_for_workers(1, timeout=connection.patience)
    except TimeoutError:
        error_of_none = connection.nobody()
        client.close(timeout=2)
        raise error_of_none from None
    count = len(client.scheduler_info(n_workers=-1)["workers"])
    _log.info("dask: %d workers of %s, dashboard %s", count, address, client.dashboard_link)
    return connection


def _hear_greeting(address: str) -> None:
    """Raise TimeoutError if who answers at a ``tcp`` address says nothing, as schedulers do at once: Client waits for that for ever."""
    from dask.utils import parse_timedelta

    scheme, _, place = address.partition("://")
    host, _, port = place.rpartition(":")
    if scheme != "tcp":
        return
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), timeout=parse_timedelta(_CONNECT))
    except OSError:
        return  # Client asks again, for as long
    with connection:
        try:
            connection.recv(1)
        except TimeoutError:
            raise TimeoutError("what answers there says nothing, so that it is no scheduler") from None


def _own_scheduler(settings: Mapping[str, Any]) -> str:
    if settings["scheduler"] == SLURM:
        raise ConfigError(
            "dask.scheduler: slurm, but the address of the run's scheduler did not reach this job; let jobs have the environment of "
            "the run (sbatch --export=ALL), or start a scheduler yourself and set dask.scheduler to its address"
        )
    from patchprobe.spreading.server import start

    return start(settings)


class inside_task:  # noqa: N801
    """A block that is part of a spread task: what it calls stays in its process."""

    def __enter__(self) -> None:
        self._before = getattr(_inside, "task", False)
        _inside.task = True

    def __exit__(self, *error: object) -> None:
        _inside.task = self._before


@cache
def own_code() -> str:
    """Return a digest of all code of this package, as it was when this process first asked."""
    import hashlib

    folder = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(
            f"{path.relative_to(folder).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    return digest.hexdigest()[:16]
