"""Tasks in their order, on workers or here, and what is said when scheduler or workers are not there, or do not last."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SETTINGS
from distributed import LocalCluster
from spread_work import Shared, fail, regressed, scaled, swallow, wait, within

from patchprobe.errors import ConfigError, DataError
from patchprobe.neighbors.memory_bank import MemoryBank
from patchprobe.scoring import bootstrap
from patchprobe.spreading import cluster, server, staging, tasks
from patchprobe.spreading.tasks import in_order


def announce(monkeypatch, address, **changes):
    monkeypatch.setenv(cluster.ANNOUNCED, "")
    cluster.announce(SETTINGS | {"scheduler": address, "patience": 1} | changes)


def test_results_come_in_their_order_and_logs_with_them(announced, caplog):
    shared, done = Shared(values=np.arange(5.0)), []
    with caplog.at_level(logging.INFO, "patchprobe"):
        found = in_order(scaled, [(i,) for i in range(20)], shared=shared, done=lambda: done.append(1))
    for i, (process, values) in enumerate(found):
        assert process != os.getpid()
        np.testing.assert_array_equal(values, np.arange(5.0) * i)
    assert len(done) == 20
    assert sorted(r.message for r in caplog.records if r.name == "patchprobe.test") == sorted(
        f"factor {i}" for i in range(20)
    )
    assert in_order(scaled, [], shared=shared) == []


def test_the_dashboard_is_in_the_log(announced, caplog):
    with caplog.at_level(logging.INFO, "patchprobe"):
        in_order(scaled, [(1,)], shared=Shared(values=np.ones(1)))
    (line,) = [r.message for r in caplog.records if "dashboard" in r.message]
    assert line.startswith(f"dask: 2 workers of {announced}, dashboard http://127.0.0.1:")


def test_what_a_task_spreads_stays_in_its_worker(announced):
    ((inner, outer),) = in_order(within, [(3,)])
    assert inner == outer != os.getpid()


def test_an_error_of_a_task_is_raised_here(announced):
    with pytest.raises(DataError, match="tile 3 is broken: delete it"):
        in_order(fail, [(i,) for i in range(6)])
    assert in_order(fail, [(1,), (2,)]) == [1, 2]


def test_ridge_regressions_have_the_same_digits(announced, monkeypatch):
    rng = np.random.default_rng(0)
    shared = Shared(
        tokens=np.asfortranarray(rng.standard_normal((400, 96)).astype(np.float16)),
        targets=rng.standard_normal((400, 7)),
        images=np.repeat(np.arange(20), 20),
    )
    items = [(np.sort(rng.permutation(96)[:count]),) for count in (96, 60, 33, 5)]
    away = in_order(regressed, items, shared=shared)
    monkeypatch.setenv(cluster.ANNOUNCED, "")
    for found, expected in zip(away, in_order(regressed, items, shared=shared), strict=True):
        assert [part.tobytes() for part in found] == [part.tobytes() for part in expected]


def test_bootstraps_of_any_sums_have_the_same_digits(announced, monkeypatch):
    rng = np.random.default_rng(1)
    sums = rng.standard_normal((60, 9, 9)) ** 2
    monkeypatch.setattr(bootstrap, "_CHUNK_ELEMENTS", 81 * 64)
    asked = []
    monkeypatch.setattr(bootstrap, "in_order", lambda *a, **b: asked.append(b["spread"]) or in_order(*a, **b))

    def values(worth):
        monkeypatch.setattr(bootstrap, "_WORTH", worth)
        metrics = {"trace": lambda part: np.trace(part, axis1=-2, axis2=-1) / part.sum(axis=(-2, -1))}
        return bootstrap.resampled_values(sums, metrics, resamples=500, rng=np.random.default_rng(2))["trace"]

    assert values(1 << 60).tobytes() == values(0).tobytes()
    assert asked == [False, True]


def test_a_file_holds_an_object_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thing = Shared(c=np.arange(1000.0).reshape(10, 100), f=np.asfortranarray(np.eye(50)), text="x", small=np.int64(3))
    handle = staging.write(thing)
    found = staging.read(handle.path)
    for name in ("c", "f"):
        one, other = getattr(found, name), getattr(thing, name)
        np.testing.assert_array_equal(one, other)
        assert (one.dtype, one.strides) == (other.dtype, other.strides)
        assert not one.flags.writeable and one.ctypes.data % 64 == 0
    assert (found.text, found.small) == ("x", 3)
    assert handle.path.stat().st_size == handle.size
    assert handle.path.parent.stat().st_mode & 0o77 == 0
    path = handle.path
    del handle
    assert not path.exists()


def test_an_address_where_nobody_answers(monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT", "1s")
    announce(monkeypatch, "tcp://127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"no scheduler answers at tcp://127.0.0.1:9 .*set dask.scheduler: threads"):
        MemoryBank(np.eye(4)).search([np.eye(4)], threads=1)


def test_an_address_where_something_else_answers_and_says_nothing(monkeypatch):
    monkeypatch.setattr(cluster, "_CONNECT", "1s")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        announce(monkeypatch, address)
        with pytest.raises(ConfigError, match=rf"no scheduler answers at {address} \(what answers there says nothing"):
            MemoryBank(np.eye(4)).search([np.eye(4)], threads=1)


def test_a_scheduler_without_workers(monkeypatch):
    with LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        announce(monkeypatch, empty.scheduler_address)
        with pytest.raises(ConfigError, match=r"the scheduler at .* has no workers, for 1 s \(dask.patience\); start"):
            in_order(fail, [(1,)])


def test_a_bank_that_no_worker_can_hold(announced, monkeypatch):
    monkeypatch.setattr(tasks, "BASE_MB", 1499)
    with pytest.raises(
        ConfigError, match=r"needs 1507 MB, 8 of them for the memory bank, .* is 1500 MB; set dask.memory_mb to 1884"
    ):
        in_order(fail, [(1,)], shared=Shared(values=np.ones(10**6)))


def test_a_task_that_needs_more_memory_than_a_worker_may_have(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cluster.ANNOUNCED, "")
    settings = SETTINGS | {"workers": 1, "memory_mb": 500, "patience": 120}
    cluster.announce(settings, address=server.start(settings, tmp_path / "dask.log"))
    with pytest.raises(
        ConfigError, match=r"the same task ended four workers.* see logs/dask.log, and set dask.memory_mb higher"
    ):
        in_order(swallow, [(600,)])
    cluster.disconnect()
    assert "95%" in (tmp_path / "dask.log").read_text()


def dask(*words):
    return subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]])


def end_soon(process, seconds=1.5):
    subprocess.Popen(
        [sys.executable, "-c", f"import os, time; time.sleep({seconds}); os.kill({process.pid}, {signal.SIGKILL})"]
    )


@pytest.mark.parametrize(
    ("killed", "message"),
    [
        ("scheduler", r"the scheduler at .* went away while it was at work; start"),
        ("worker", r"has no workers, for 1 s"),
    ],
)
def test_a_cluster_that_ends_for_good_in_the_middle(monkeypatch, tmp_path, killed, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "_CONNECT", "3s")
    file = tmp_path / "scheduler.json"
    started = {
        "scheduler": dask(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), "--no-dashboard"
        )
    }
    try:
        started["worker"] = dask(
            "worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-nanny", "--no-dashboard"
        )
        while not file.exists():
            time.sleep(0.1)
        announce(monkeypatch, json.loads(file.read_text())["address"], patience=20)
        connection = cluster.connected()
        connection.patience = 1.0
        end_soon(started[killed])
        began = time.monotonic()
        with pytest.raises(ConfigError, match=message):
            in_order(wait, [(3600,)])
        assert time.monotonic() - began < 20
    finally:
        for process in started.values():
            process.kill()
            process.wait()
        cluster.disconnect()


def test_a_worker_with_other_code_is_refused(announced, monkeypatch):
    monkeypatch.setattr(tasks, "own_code", lambda: "other")
    with pytest.raises(ConfigError, match="a worker runs other code than this job; start"):
        in_order(fail, [(1,)])


def test_slurm_without_dask_jobqueue(monkeypatch):
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="slurm needs dask-jobqueue, which is not installed: run `make dask`"):
        server.start(SETTINGS | {"scheduler": "slurm"})


def test_jobs_of_slurm_as_they_are_submitted():
    jobqueue = pytest.importorskip("dask_jobqueue", reason="needs dask-jobqueue (make dask)")
    own = {"partition": "cpu", "account": None, "runtime": 250, "interface": "lo", "directives": ["--qos=long"]}
    with pytest.MonkeyPatch.context() as patch:
        asked = []
        patch.setattr(jobqueue.SLURMCluster, "scale", lambda self, jobs=0: asked.append(jobs))
        made = server._slurm_cluster(SETTINGS | {"workers": 5, "slurm": own})
        script, address = made.job_script(), made.scheduler_address
        made.close()
    assert asked[0] == 5
    for line in ("#SBATCH -p cpu", "#SBATCH -t 04:10:00", "#SBATCH --cpus-per-task=1", "#SBATCH --qos=long"):
        assert line in script.splitlines()
    assert "export DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE=False" in script
    assert f"distributed.cli.dask_worker {address} " in script and "--nthreads 1" in script


def test_the_workers_end_with_who_started_them(tmp_path):
    """Also if that is killed."""
    code = f"from patchprobe.spreading import server; print(server.start({SETTINGS | {'workers': 1}!r}), flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    port = holder.stdout.readline().strip().rpartition(":")[2]
    assert port
    holder.kill()
    holder.wait()
    until = time.monotonic() + 15
    while time.monotonic() < until and listening(int(port)):
        time.sleep(0.2)
    assert not listening(int(port))


def listening(port):
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines)
