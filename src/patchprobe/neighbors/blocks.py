"""Query blocks spread over workers, and the checks that every search of them needs."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import dask
import numpy as np
import numpy.typing as npt
from dask.base import get_scheduler

from patchprobe.errors import DataError, ModelError
from patchprobe.spreading.blas import one_blas_thread
from patchprobe.spreading.cluster import connected
from patchprobe.spreading.staging import Mapped, staged
from patchprobe.spreading.tasks import compute

Found = tuple[npt.NDArray[Any], ...]
_PIECE = 4096  # rows of an array in memory that one task of a worker searches for
_LARGE = 1 << 20  # bytes from which an array goes to workers as a file


def search_blocks(
    bank: object,
    search: Callable[..., Found],
    blocks: Iterable[Any],
    *beside: Iterable[Any],
    features: int,
    threads: int,
    query_block: int,
    progress: Callable[[int], object] | None,
    portable: bool,
) -> list[Found]:
    """Return in order what ``search`` finds in ``bank`` for every ``query_block`` rows of the blocks.

    A block is an array (..., features) or something lazy that becomes one where it is searched: ``search`` gets the bank, rows
    of the block, float64 (rows, features), and the same rows of its companion in every iterable of ``beside``.
    The blocks are spread over ``threads`` threads with one BLAS thread each or, where the configuration names a cluster
    (:mod:`patchprobe.spreading.cluster`), over its workers, which the bank reaches once each, or where dask has a scheduler set
    (``dask.config.set(scheduler=...)``), over those of that one; a bank that is not ``portable`` because it is on a GPU stays here.
    ``progress`` hears of the queries of each block, of a scheduler that is set at the end. Raises ModelError for queries that are not finite or have another
    number of features, ConfigError for a cluster that is not there.
    """
    options = (search, features, query_block)
    connection = connected() if portable else None
    if connection is None:
        return _spread_here(bank, options, blocks, beside, threads, progress)

    def report(parts: list[Found]) -> None:
        if progress is not None:
            progress(sum(len(part[0]) for part in parts))

    items = ((*options, block, companions, None) for block, companions in _pieces(blocks, beside))
    return [part for parts in compute(connection, _search_block, bank, items, done=report) for part in parts]


def slices(length: int, step: int) -> list[slice]:
    """Return the slices of at most ``step`` that cover ``length``."""
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def check_matrix(tokens: npt.NDArray[Any], what: str) -> None:
    """Raise ModelError unless tokens are real numbers (rows, features)."""
    if tokens.ndim != 2 or tokens.dtype.kind not in "fiu":
        raise ModelError(
            f"{what}: expected real tokens (rows, features), got {tokens.dtype} of shape {tokens.shape}; extract them again"
        )


def check_bank(tokens: npt.NDArray[Any]) -> None:
    """Raise ModelError unless tokens are real numbers (rows, features), DataError if there are none."""
    check_matrix(tokens, "memory bank")
    if tokens.size == 0:
        raise DataError(
            f"the memory bank is empty (shape {tokens.shape}): no training patch is left to search in; "
            "take more training images or check that their labels are not all void"
        )


def not_finite(what: str) -> ModelError:
    """Return the error for tokens that are infinite or not a number."""
    return ModelError(
        f"{what}: some tokens are infinite or not a number; extract them again in a wider format "
        "(extraction: dtype float32, precision fp32)"
    )


def _pieces(blocks: Iterable[Any], beside: Sequence[Iterable[Any]]) -> Iterator[tuple[Any, list[Any]]]:
    """Yield blocks and their companions for workers: arrays in memory by some rows, large ones as files."""
    for block, *companions in zip(blocks, *beside, strict=True):
        if type(block) is not np.ndarray or block.ndim < 2:
            yield block, companions
            continue
        rows = block.reshape(-1, block.shape[-1])
        columns = [np.asarray(companion).reshape(-1) for companion in companions]
        for part in slices(len(rows), _PIECE):
            piece = np.ascontiguousarray(rows[part])
            yield staged(piece) if piece.nbytes > _LARGE else piece, [column[part] for column in columns]


def _spread_here(
    bank: object,
    options: tuple[Callable[..., Found], int, int],
    blocks: Iterable[Any],
    beside: Sequence[Iterable[Any]],
    threads: int,
    progress: Callable[[int], object] | None,
) -> list[Found]:
    configured = get_scheduler()
    # A lock cannot travel to another process.
    report = _one_at_a_time(progress) if progress is not None and configured is None else None
    # The bank is one value of the graph: another scheduler sends it to each worker once.
    held = dask.delayed(bank, pure=False, traverse=False)
    task = dask.delayed(_search_block, pure=False, traverse=False)
    tasks = [
        task(held, *options, block, companions, report) for block, *companions in zip(blocks, *beside, strict=True)
    ]
    local = {"scheduler": "threads", "num_workers": threads} if configured is None else {}
    # Around all blocks too: limits that threads set and lift in turn would undo each other.
    with one_blas_thread():
        found = [part for parts in dask.compute(*tasks, **local) for part in parts]
    if progress is not None and configured is not None:
        progress(sum(len(part[0]) for part in found))
    return found


def _search_block(
    bank: object,
    search: Callable[..., Found],
    features: int,
    query_block: int,
    block: Any,
    companions: Sequence[Any],
    report: Callable[[int], None] | None,
) -> list[Found]:
    queries = np.asarray(block.load(keep=False) if isinstance(block, Mapped) else block)
    queries = queries.reshape(-1, queries.shape[-1])
    check_matrix(queries, "queries")
    if queries.shape[1] != features:
        raise ModelError(
            f"queries have {queries.shape[1]} features and the memory bank {features}: "
            "extract both again from one model and layer"
        )
    columns = [np.asarray(companion).reshape(-1) for companion in companions]
    found = []
    with one_blas_thread():
        for rows in slices(len(queries), query_block):
            part = queries[rows].astype(np.float64)
            if not np.isfinite(part).all():
                raise not_finite("queries")
            found.append(search(bank, part, *(column[rows] for column in columns)))
            if report is not None:
                report(len(part))
    return found


def _one_at_a_time(progress: Callable[[int], object]) -> Callable[[int], None]:
    lock = threading.Lock()

    def report(count: int) -> None:
        with lock:
            progress(count)

    return report
