"""What the tests let workers do, in a file of its own that workers can import."""

import logging
import os
import time

import numpy as np

from patchprobe.errors import DataError
from patchprobe.probes.ridge import fit_ridge
from patchprobe.spreading.tasks import in_order


def processes(bank, queries):
    return (np.full(len(queries), os.getpid()),)


def slow(bank, queries):
    time.sleep(0.2)
    return (bank._tokens[:, 0] @ np.ones(len(bank._tokens)) + queries[:, 0],)


class Shared:
    """What tasks share."""

    def __init__(self, **values):
        self.__dict__ |= values


def scaled(shared, factor):
    logging.getLogger("patchprobe.test").info("factor %d", factor)
    return os.getpid(), shared.values * factor


def within(shared, size):
    return in_order(scaled, [(size,)], shared=Shared(values=np.ones(2)))[0][0], os.getpid()


def fail(shared, number):
    if number == 3:
        raise DataError("tile 3 is broken: delete it")
    return number


def regressed(shared, kept):
    ridge = fit_ridge(shared.tokens[:, kept], shared.targets, shared.images, (0.01, 0.1, 1.0))
    return ridge.weights, ridge.intercept, ridge.penalties


def swallow(shared, megabytes):
    held = np.ones(megabytes * 125_000)
    time.sleep(60)
    return held[0]


def wait(shared, seconds):
    time.sleep(seconds)
