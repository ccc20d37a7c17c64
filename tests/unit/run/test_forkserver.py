"""The server that jobs are forked from: it serves its own user alone, and outlives clients that are killed.

Each test talks to a real server in a process of its own, which imports no libraries so that it starts at once.
"""

import array
import contextlib
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from patchprobe.run import forkserver

SERVER = """
import os, sys
sys.path.insert(0, {source!r})
from patchprobe.run import forkserver
forkserver.LIBRARIES = ()
os.umask(int(sys.argv[2], 8))
{extra}
forkserver.serve(sys.argv[1])
"""
# What a client of another user would send: a script to run as the server's user.
INTRUDER = """
import array, os, socket, sys
{become}
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
parts = ["/", "1", sys.argv[2], str(len(sys.path)), *sys.path, "OMP_NUM_THREADS", "0"]
text = "\\0".join(parts).encode()
outputs = array.array("i", [1, 2]).tobytes()
try:
    client.sendmsg([len(text).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, outputs)])
    client.sendall(text)
    print("answer", client.recv(16))
except OSError as error:
    print("answer", error)
"""
SOURCE = str(Path(forkserver.__file__).parents[2])
# Run after the imports: the interpreter may lie where another user cannot read it.
BECOME_NOBODY = "os.setgroups([]); os.setgid(65534); os.setuid(65534)"
# A second user there is only for root; for others the server or client is told that it is one.
USERS = ["another by name", *(["another"] if os.getuid() == 0 else [])]


class Server:
    def __init__(self, folder, umask="022", extra=""):
        self.address = folder / "s.socket"
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER.format(source=SOURCE, extra=extra), str(self.address), umask],
            stdin=subprocess.PIPE,
        )
        until(self.listens)

    def listens(self):
        assert self.process.poll() is None
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self.address))
            except OSError:
                return False
        return True

    def children(self):
        process = self.process.pid
        return Path(f"/proc/{process}/task/{process}/children").read_text().split()

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def serve(tmp_path):
    started = []

    def start(**options):
        started.append(Server(tmp_path, **options))
        return started[-1]

    yield start
    for server in started:
        server.close()


def request(script):
    """Return a whole request that runs a script, as bytes: its length, and itself."""
    text = "\0".join(["/", "1", str(script), str(len(sys.path)), *sys.path, "OMP_NUM_THREADS", "0"]).encode()
    return len(text).to_bytes(8, "big"), text


def send(client, head, text):
    outputs = array.array("i", [1, 2]).tobytes()
    client.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, outputs)])
    client.sendall(text)


@pytest.mark.parametrize("sent", ["nothing", "half a head", "a head", "half a request", "no descriptors", "no words"])
def test_a_client_that_is_killed_while_it_asks_leaves_nothing_behind(serve, tmp_path, sent):
    server = serve()
    script = tmp_path / "job.py"
    script.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    head, text = request(script)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.address))
        if sent == "half a head":
            client.sendall(head[:3])
        elif sent == "a head":
            send(client, head, b"")
        elif sent == "half a request":
            send(client, head, text[: len(text) // 2])
        elif sent == "no descriptors":
            client.sendall(head + text)
        elif sent == "no words":
            send(client, head, b"?" * len(text))
    # It still serves the next one, which it hears of after the other.
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.address))
        send(client, head, text)
        assert client.recv(16) == b"0"
    assert (tmp_path / "ran").exists()
    until(lambda: not server.children(), 10)


def test_a_request_of_unlikely_length_is_not_waited_for(serve):
    server = serve()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.address))
        send(client, (1 << 62).to_bytes(8, "big"), b"x")
        client.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(16) == b""


@pytest.mark.parametrize("umask", ["000", "002", "022"])
def test_the_socket_is_private_under_any_umask(serve, tmp_path, umask):
    server = serve(umask=umask)
    assert stat.S_IMODE(server.address.stat().st_mode) & 0o077 == 0
    # And jobs keep the umask that the run was started with.
    script = tmp_path / "job.py"
    script.write_text(f"open({str(tmp_path / 'made')!r}, 'w')\n")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.address))
        send(client, *request(script))
        assert client.recv(16) == b"0"
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o666 & ~int(umask, 8)


@pytest.mark.parametrize("user", USERS)
def test_a_client_of_another_user_runs_nothing(serve, tmp_path, user):
    another = user == "another"
    # A script, folders and a socket that anyone may use, so that the server's own check decides.
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    (tmp_path / "job.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    server = serve(extra="" if another else f"os.geteuid = lambda: {os.geteuid() + 1}")
    server.address.chmod(0o777)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            INTRUDER.format(become=BECOME_NOBODY if another else ""),
            str(server.address),
            str(tmp_path / "job.py"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout.startswith("answer"), done.stderr
    assert "b'0'" not in done.stdout and not (tmp_path / "ran").exists()


@pytest.mark.parametrize("user", USERS)
def test_a_server_of_another_user_is_told_nothing(tmp_path, user):
    """Only one that has put its socket in place of ours can be such a server: the job runs by itself."""
    another = user == "another"
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents[:3]:
        folder.chmod(folder.stat().st_mode | 0o055)
    address = tmp_path / "s.socket"
    listening = (
        f"import os, socket, sys\n{BECOME_NOBODY if another else ''}\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\nprint('up', flush=True)\n"
        "c, _ = s.accept()\nc.settimeout(20)\nprint(len(c.recv(1000)))\n"
    )
    spy = subprocess.Popen([sys.executable, "-c", listening, str(address)], stdout=subprocess.PIPE, text=True)
    assert spy.stdout.readline() == "up\n"
    script = tmp_path / "job.py"
    pretended = "" if another else f"import os\nos.geteuid = lambda: {os.geteuid() + 1}\n"
    script.write_text(
        f"import sys\nsys.path.insert(0, {SOURCE!r})\n{pretended}"
        "from patchprobe.run.forkserver import hand_over\nhand_over()\nprint('by myself')\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {forkserver.ADDRESS: str(address), "TOKEN": "secret"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "by myself\n" and "another user" in done.stderr
    assert spy.communicate(timeout=30)[0] == "0\n"


def test_a_server_that_is_there_already_is_used_and_forgone_where_jobs_run_by_themselves(serve, tmp_path, monkeypatch):
    server = serve()
    (tmp_path / "run").mkdir()
    monkeypatch.setenv(forkserver.ADDRESS, str(server.address))
    forkserver.start(tmp_path / "run")
    assert not forkserver._running and os.environ[forkserver.ADDRESS] == str(server.address)
    forkserver.forgo()
    assert forkserver.ADDRESS not in os.environ


@pytest.mark.parametrize("there", ["nothing", "dead socket"])
def test_a_server_that_is_gone_is_replaced_by_one_of_the_run(tmp_path, monkeypatch, there):
    gone = tmp_path / "gone.socket"
    if there == "dead socket":
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(gone))
    monkeypatch.setenv(forkserver.ADDRESS, str(gone))
    forkserver.start(tmp_path, needless=forkserver.LIBRARIES)
    own = tmp_path / "patchprobe-forkserver.socket"
    assert os.environ[forkserver.ADDRESS] == str(own)
    process = forkserver._running.pop()
    until(own.exists)
    process.stdin.close()
    assert process.wait(20) == 0


def test_many_jobs_at_a_time_are_told_apart(serve, tmp_path):
    server = serve()
    script = tmp_path / "job.py"
    script.write_text("import os, sys, time\ntime.sleep(0.5)\nsys.exit(int(sys.argv[0][-4]))\n")
    clients = []
    for number in range(8):
        own = tmp_path / f"job{number}.py"
        own.write_text(script.read_text())
        clients.append(socket.socket(socket.AF_UNIX))
        clients[-1].connect(str(server.address))
        send(clients[-1], *request(own))
    assert [client.recv(16) for client in clients] == [str(number).encode() for number in range(8)]
    for client in clients:
        client.close()
    until(lambda: not server.children(), 10)


def test_when_the_run_ends_the_server_waits_for_its_jobs(tmp_path):
    server = Server(tmp_path)
    (tmp_path / "job.py").write_text("import time\ntime.sleep(1)\nraise SystemExit(3)\n")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.address))
        send(client, *request(tmp_path / "job.py"))
        until(server.children)
        server.process.stdin.close()
        until(lambda: not server.address.exists())
        assert client.recv(16) == b"3"
    assert server.process.wait(20) == 0


def test_jobs_end_with_a_server_that_is_killed(tmp_path):
    server = Server(tmp_path)
    (tmp_path / "job.py").write_text(
        f"import os, time\nopen({str(tmp_path / 'number')!r}, 'w').write(str(os.getpid()))\ntime.sleep(100)\n"
    )
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.address))
        send(client, *request(tmp_path / "job.py"))
        until(lambda: (tmp_path / "number").exists() and (tmp_path / "number").read_text())
        job = Path(f"/proc/{(tmp_path / 'number').read_text()}")
        assert job.exists()
        server.process.kill()
        server.process.wait(20)
        assert client.recv(16) == b""
    until(lambda: not job.exists() or "Z (zombie)" in (job / "status").read_text())


def test_nobody_but_its_job_holds_what_a_job_writes_into(serve, tmp_path):
    """Who reads it hears of the end of the job, whatever else the server and other jobs do."""
    server = serve()
    quick, slow = tmp_path / "quick.py", tmp_path / "slow.py"
    quick.write_text("import time\ntime.sleep(0.3)\nprint('done')\n")
    slow.write_text("import time\ntime.sleep(100)\n")
    reading, writing = os.pipe()
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        for client, script, outputs in ((first, quick, [writing, writing]), (second, slow, [1, 2])):
            client.connect(str(server.address))
            head, text = request(script)
            rights = array.array("i", outputs).tobytes()
            client.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
            client.sendall(text)
        os.close(writing)
        with os.fdopen(reading) as output:
            assert output.read() == "done\n"
        assert first.recv(16) == b"0" and len(server.children()) == 1
