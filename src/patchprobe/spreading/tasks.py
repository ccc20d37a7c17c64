"""Tasks in their order, in this process or on the workers of the announced scheduler, with the same numbers.

Which tasks there are never depends on the number of workers, each computes with one BLAS thread, and results come back in the order of
the tasks, so no sum is taken in another order. A worker that ends is replaced by dask and its tasks are computed again.
"""

import logging
import queue
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from patchprobe.errors import ConfigError, PatchprobeError
from patchprobe.spreading.blas import one_blas_thread
from patchprobe.spreading.cluster import Connection, connected, inside_task, own_code
from patchprobe.spreading.staging import staged

BASE_MB = 700
"""What a worker needs beside the banks it maps: Python with the libraries (where torch is among them), and the blocks at work."""

_LIBRARY = "patchprobe"
_LOOK = 1.0  # seconds between looks at the scheduler
_log = logging.getLogger(__name__)


def in_order(
    function: Callable[..., Any],
    items: Iterable[Sequence[Any]],
    *,
    shared: Any = None,
    spread: bool = True,
    done: Callable[[], object] | None = None,
) -> list[Any]:
    """Return ``function(shared, *item)`` for every item, in their order; what they log is logged here.

    ``shared`` reaches each worker once, where its arrays are read-only. Without a scheduler, or if not to be
    ``spread``, the items are taken one after another in this process. ``done`` is called after each. Raises what a task raises,
    and ConfigError where the scheduler or its workers do not last.
    """
    connection = connected() if spread else None
    if connection is None:
        found = []
        with one_blas_thread():
            for item in items:
                found.append(function(shared, *item))
                if done is not None:
                    done()
        return found
    return compute(connection, function, shared, items, done=None if done is None else lambda _: done())


def compute(
    connection: Connection,
    function: Callable[..., Any],
    shared: Any,
    items: Iterable[Sequence[Any]],
    *,
    done: Callable[[Any], object] | None = None,
) -> list[Any]:
    """Do the work of :func:`in_order` on the workers; ``done`` gets each result. Items may hold what dask makes arrays of."""
    import dask

    handle = None if shared is None else staged(shared)
    if handle is not None:
        _check_memory(connection, handle.size)
    task = dask.delayed(_run, pure=False, traverse=False)
    tasks = [task(own_code(), function, handle, *item) for item in items]
    return _gathered(connection, tasks, done)


def _run(code: str, function: Callable[..., Any], handle: Any, *item: Any) -> tuple[Any, list[tuple[str, int, str]]]:
    """Compute one task on a worker; return its result and what was logged, by logger, level and text."""
    if code != own_code():
        raise _other_code()
    shared = None if handle is None else handle.load()
    records = _Records()
    logger = logging.getLogger(_LIBRARY)
    logger.addHandler(records)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        with inside_task(), one_blas_thread():
            return function(shared, *item), records.found
    finally:
        logger.removeHandler(records)
        logger.setLevel(level)


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append((record.name, record.levelno, record.getMessage()))


def _check_memory(connection: Connection, size: int) -> None:
    """Raise ConfigError if the bank cannot be in the memory of a worker."""
    needed = BASE_MB + size / 1e6
    limits = [facts["memory_limit"] / 1e6 for facts in connection.workers().values() if facts.get("memory_limit")]
    if limits and min(limits) < needed:
        how = "set dask.memory_mb" if connection.own else "start workers with --memory-limit"
        raise ConfigError(
            f"dask.memory_mb: a worker needs {needed:.0f} MB, {size / 1e6:.0f} of them for the memory bank, and its limit is "
            f"{min(limits):.0f} MB; {how} to {1.25 * needed:.0f} or more, with fewer workers where the machine has no more memory, or "
            "set dask.scheduler: threads"
        )


def _gathered(connection: Connection, tasks: Sequence[Any], done: Callable[[Any], object] | None) -> list[Any]:
    """Return results in the order of the tasks; never waits for workers that do not come."""
    found: list[Any] = [None] * len(tasks)
    if not tasks:
        return found
    finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
    futures = connection.client.compute(list(tasks))
    places = {future.key: place for place, future in enumerate(futures)}
    for future in futures:
        future.add_done_callback(finished.put)
    watch = _Watch(connection)
    try:
        for _ in tasks:
            while True:
                try:
                    future = finished.get(timeout=_LOOK)
                    break
                except queue.Empty:
                    watch.look()
            result, records = _result(watch, future)
            for name, level, text in records:
                logging.getLogger(name).log(level, "%s", text)
            place = places[future.key]
            found[place] = result
            futures[place] = None  # the worker can let it go
            if done is not None:
                done(result)
        return found
    finally:
        left = [future for future in futures if future is not None]
        if left and connection.alive:
            connection.client.cancel(left, force=True)


class _Watch:
    """Sees while results are waited for that there is still somebody to compute them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._seen = time.monotonic()

    def look(self) -> None:
        """Raise ConfigError if the scheduler is gone, or for longer than the patience all its workers."""
        if not self.connection.alive:
            raise self.connection.gone()
        if self.connection.workers():
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen > self.connection.patience:
            raise self.connection.nobody()


def _result(watch: _Watch, future: Any) -> tuple[Any, list[tuple[str, int, str]]]:
    from distributed import CancelledError, KilledWorker, TimeoutError

    connection = watch.connection
    while True:
        try:
            # A result whose worker has ended is computed again.
            result: tuple[Any, list[tuple[str, int, str]]] = future.result(timeout=10 * _LOOK)
            return result
        except TimeoutError:
            watch.look()
        except KilledWorker:
            how = (
                "see logs/dask.log, and set dask.memory_mb" if connection.own else "start workers with a --memory-limit"
            )
            raise ConfigError(
                "dask.memory_mb: the same task ended four workers, one after another, most likely because it needs more memory than "
                f"a worker may have; {how} higher, with fewer workers where the machine has no more memory, or set dask.scheduler: "
                "threads"
            ) from None
        except PatchprobeError as error:
            raise error from None
        except CancelledError:
            raise connection.gone() from None
        except RuntimeError as error:
            # In dask's words, before any worker has seen the task.
            if "deserialization of the task graph" in str(error):
                raise _other_code() from error
            raise


def _other_code() -> ConfigError:
    return ConfigError(
        "dask.scheduler: the scheduler or a worker runs other code than this job; start both in the environment of this run, and "
        "again when its code has changed"
    )
