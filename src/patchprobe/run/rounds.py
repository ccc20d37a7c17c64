"""Rounds of Snakemake's scheduler that are as many as it needs.

To keep to ``--max-jobs-per-timespan`` it starts a timer in every round, of a second by default, after which there is another
round: also in the rounds that a timer began. So each job that ends adds a round a second until no job is ready, and
in a run of hundreds of jobs the scheduler takes a core from them.
"""

import threading
from typing import Any


def one_timer(scheduler: Any) -> None:
    """Let Snakemake's class of schedulers have one such timer at a time; a version without that method is left alone."""
    if hasattr(scheduler, "_schedule_reevalutation"):
        scheduler._schedule_reevalutation = look_again


def look_again(scheduler: Any, delay: float) -> None:
    """Start a round of ``scheduler`` after ``delay`` seconds, unless one is waited for already."""
    if getattr(scheduler, "looks_again", False):
        return
    scheduler.looks_again = True
    timer = threading.Timer(delay, _begin, [scheduler])
    # A run that has ended does not wait for it.
    timer.daemon = True
    timer.start()


def _begin(scheduler: Any) -> None:
    # Before the round, which may ask for the next one.
    scheduler.looks_again = False
    scheduler._open_jobs.release()
