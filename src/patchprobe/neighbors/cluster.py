"""The dask cluster that searches are spread over, where the configuration names one."""

import contextlib
import os
from collections.abc import Iterator

from patchprobe.errors import ConfigError

# Dask's own name for it; jobs on any machine of a workflow get it with their environment.
ADDRESS = "DASK_SCHEDULER_ADDRESS"
_PATIENCE = "10s"


def announce(address: str | None) -> None:
    """Let the searches of this process, and of those it starts, use the scheduler at ``address``, or none."""
    if address is None:
        os.environ.pop(ADDRESS, None)
    else:
        os.environ[ADDRESS] = address


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """Make the announced scheduler dask's own in the block; without one the block runs as it is.

    Raises ConfigError if nobody answers at the address, or no worker is there.
    """
    address = os.environ.get(ADDRESS)
    if address is None:
        yield
        return
    # Imported where it is needed: it takes half a second of every job.
    from distributed import Client

    remedy = "start `dask scheduler` and `dask worker` there, in this environment, or set dask_scheduler: null"
    try:
        client = Client(address, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise ConfigError(f"dask_scheduler: no scheduler answers at {address} ({error}); {remedy}") from None
    with client:
        if not client.scheduler_info()["workers"]:
            raise ConfigError(f"dask_scheduler: the scheduler at {address} has no workers; {remedy}")
        yield
