import threading
import time

from snakemake.scheduling.job_scheduler import JobScheduler

from patchprobe.run.rounds import look_again, one_timer


class Scheduler:
    """What a round needs of Snakemake's scheduler: the semaphore that it waits for."""

    def __init__(self):
        self._open_jobs = threading.Semaphore(0)


def test_many_rounds_wait_for_one_timer_and_the_next_one_gets_its_own():
    scheduler = Scheduler()
    for _ in range(20):
        look_again(scheduler, 0.2)
    assert scheduler._open_jobs.acquire(timeout=20)
    look_again(scheduler, 0.2)
    assert scheduler._open_jobs.acquire(timeout=20)
    time.sleep(0.5)
    assert not scheduler._open_jobs.acquire(blocking=False)


def test_two_schedulers_do_not_wait_for_each_other():
    first, second = Scheduler(), Scheduler()
    look_again(first, 100)
    look_again(second, 0.1)
    assert second._open_jobs.acquire(timeout=20) and not first._open_jobs.acquire(blocking=False)


def test_snakemake_has_the_method_that_is_replaced(monkeypatch):
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", JobScheduler._schedule_reevalutation)
    one_timer(JobScheduler)
    assert JobScheduler._schedule_reevalutation is look_again


def test_a_version_without_the_method_is_left_alone():
    one_timer(Scheduler)
    assert not hasattr(Scheduler, "_schedule_reevalutation")
