"""The limit holds in every library of BLAS, is lifted again, and costs next to nothing when it is asked for once more."""

from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from patchprobe.spreading import blas
from patchprobe.spreading.blas import one_blas_thread


def threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_the_limit_holds_within_and_is_lifted_behind():
    np.ones((4, 4)) @ np.ones((4, 4))
    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        assert before and max(before) == 2
        with one_blas_thread():
            assert set(threads()) == {1}
            with one_blas_thread():
                assert set(threads()) == {1}
            assert set(threads()) == {1}
        assert threads() == before
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            _ = 1 / 0
        assert threads() == before


def test_libraries_are_looked_for_again_when_modules_were_imported(monkeypatch):
    looked = []
    monkeypatch.setattr(blas, "ThreadpoolController", lambda: looked.append(1) or FakeController())
    blas._controller.cache_clear()
    modules = dict.fromkeys("ab")
    monkeypatch.setattr(blas, "sys", SimpleNamespace(modules=modules))
    for _ in range(3):
        one_blas_thread()
    assert len(looked) == 1
    modules["c"] = None
    one_blas_thread()
    assert len(looked) == 2
    blas._controller.cache_clear()


class FakeController:
    def limit(self, **_):
        return None
