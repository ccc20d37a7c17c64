"""A matrix product that is added to its result, by scipy's BLAS without Python's lock.

numpy's product cannot add, and a sum of its own costs another pass over the tile. ``scipy.linalg.blas`` can, but holds
Python's lock while it computes, so threads would wait for each other; ctypes releases it around the same routines,
which scipy offers to compiled code (``scipy.linalg.cython_blas``).
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cython_blas


def add_product(scores: npt.NDArray[Any], queries: npt.NDArray[Any], rows: npt.NDArray[Any]) -> None:
    """Add queries (Q, n) times rows (B, n), transposed, to ``scores`` (Q, B).

    All are float32, or all float64, and their last axis is contiguous. Raises ValueError for anything else.
    """
    (count, features), size = queries.shape, scores.dtype.itemsize
    arrays = (scores, queries, rows)
    fit = scores.shape == (count, len(rows)) and rows.shape[1] == features and scores.flags.writeable
    if not (fit and scores.dtype in _ROUTINES and all(map(_is_row_major, arrays)) and _same_type(arrays)):
        shapes = ", ".join(f"{array.dtype} {array.shape} with strides {array.strides}" for array in arrays)
        raise ValueError(f"cannot add products of these queries and rows to these scores: {shapes}")
    if not (scores.size and features):
        return
    routine, real = _ROUTINES[scores.dtype]
    # BLAS counts along columns: to it a row-major array is the transposed one.
    one = ctypes.byref(real(1.0))
    shape = (ctypes.byref(ctypes.c_int(number)) for number in (len(rows), count, features))
    leading = [ctypes.byref(ctypes.c_int(max(array.strides[0] // size, array.shape[1]))) for array in arrays]
    data = [array.ctypes.data for array in arrays]
    routine(b"T", b"N", *shape, one, data[2], leading[2], data[1], leading[1], one, data[0], leading[0])


def _is_row_major(array: npt.NDArray[Any]) -> bool:
    """Return whether values of a row stand side by side and rows do not share any; views of wider arrays may."""
    size, (rows, columns) = array.itemsize, array.shape
    if not array.size:
        return True
    return (columns == 1 or array.strides[1] == size) and (rows == 1 or array.strides[0] >= columns * size)


def _same_type(arrays: Sequence[npt.NDArray[Any]]) -> bool:
    return len({array.dtype for array in arrays}) == 1


def _routine(name: str) -> Callable[..., None]:
    capsule = cython_blas.__pyx_capi__[name]
    describe, address = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    describe.restype, describe.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(address(capsule, describe(capsule)))
    function.argtypes = [ctypes.c_char_p] * 2 + [ctypes.c_void_p] * 11
    return function


_ROUTINES: dict[Any, tuple[Callable[..., None], Any]] = {
    np.dtype(np.float32): (_routine("sgemm"), ctypes.c_float),
    np.dtype(np.float64): (_routine("dgemm"), ctypes.c_double),
}
