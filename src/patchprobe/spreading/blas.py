"""One thread of BLAS for a block of work, as often as asked for."""

import functools
import sys
from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[Any]:
    """Let each call of BLAS within the block take one thread, in all libraries that are loaded when it begins.

    Which ones these are is looked for anew when modules were imported since: that takes some tens of milliseconds in a process
    of many libraries, and small bootstraps ask hundreds of times.
    """
    return _controller(len(sys.modules)).limit(limits=1, user_api="blas")


@functools.lru_cache(maxsize=1)
def _controller(modules: int) -> ThreadpoolController:
    return ThreadpoolController()
