"""Numbers that NumPy pickled, read without NumPy's own unpickling.

NumPy's dtypes take a pickle's word for their size and flags, so that a file can crash the process or change a dtype
that the whole process shares. These stand in for ``numpy.dtype`` and ``scalar`` and take plain numbers only.
"""

import pickle

import numpy as np

_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class NumberType:
    """Read in place of ``numpy.dtype``: the type of a number of fixed size."""

    def __init__(self, code: str, align: object = False, copy: object = False) -> None:
        if code not in _NUMBERS:
            raise _refused(f"numpy.dtype({code!r})")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: object) -> None:
        """Take the byte order, the only part of a dtype's state that is free for a number."""
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "=", "|"):
            raise _refused("numpy.dtype")
        self.dtype = self.dtype.newbyteorder(state[1])


def number(kind: object, data: object) -> np.generic:
    """Read in place of ``numpy.core.multiarray.scalar``: the number of a type that these bytes hold."""
    if not isinstance(kind, NumberType) or not isinstance(data, bytes) or len(data) != kind.dtype.itemsize:
        raise _refused("numpy.core.multiarray.scalar")
    value: np.generic = np.frombuffer(data, kind.dtype)[0]
    return value


def _refused(name: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"Unsupported global: GLOBAL {name} is not that of a plain number")
