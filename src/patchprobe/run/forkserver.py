"""Start the jobs of a local run as forks of one process that has imported the libraries, in place of fresh processes.

Importing timm takes several seconds of processor time, so that a run of many small jobs is mostly imports. The server is
started with a run (:func:`start`) and ends with it, since it reads the end of its standard input. A job's script begins
with :func:`hand_over`, as its first line (:data:`FIRST_LINE`) or where it stands in the script: if there is a server, it
forks a process that runs the script in the same folder, with the same environment, output and arguments, and the process
that Snakemake started only waits for it. If that one is killed, so is the fork. The server imports libraries alone, never
this package, so that each job sees the code as it is.

Whoever may use the socket runs code as the server's user, and a job's environment may hold tokens. So the socket is
private, and each end makes sure that the other one is of its own user.

Snakemake's benchmark files know no memory of a forked job.

This file is run by its path and uses the standard library alone. What hands a job over has to start in no time, so all that
only the server needs is imported where it is needed, and pathlib is not.
"""

# ruff: noqa: PTH108, PTH109, PTH110, PTH118

import array
import os
import signal
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Collection, Iterable
    from pathlib import Path

ADDRESS = "PATCHPROBE_FORKSERVER"
# What jobs import, all of it: a module too many costs each run once, one too few costs each job.
LIBRARIES = (
    "snakemake.script",
    "numpy",
    "pandas",
    "pandas.io.formats.style",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "xarray",
    "zarr",
    "dask.array",
    "dask.threaded",
    "distributed",  # by dask, when it first computes something
    "threadpoolctl",
    "scipy.linalg.cython_blas",
    "scipy.ndimage",
    "sklearn.cluster",
    "tqdm",
    "PIL.Image",
    "cv2",
    "safetensors.torch",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "torch",
    "timm",
)
# What a script begins with that is to be handed over before it imports anything.
FIRST_LINE = (
    f"import sys; sys.path.insert(0, {os.path.realpath(os.path.join(__file__, *3 * ['..']))!r}); "
    "from patchprobe.run.forkserver import hand_over; hand_over()\n"
)
_LENGTH = 8  # bytes of the length before a request
_LONGEST = 1 << 26  # of requests, many times what arguments and an environment may have
_running: "list[subprocess.Popen[bytes]]" = []


def start(folder: "Path", *, needless: "Iterable[str]" = ()) -> None:
    """Start a server for the jobs of this process, which find it by the environment; it ends when this process does.

    Its socket is in ``folder``; jobs that ask before all libraries are imported wait. It leaves out the ``needless`` ones
    of :data:`LIBRARIES`, which no job of the run imports. A server that the environment names already is used as it is:
    started by this file's own path, it serves the runs of many.
    """
    import subprocess

    if _answers(os.environ.get(ADDRESS)):
        return
    address = folder.resolve() / "patchprobe-forkserver.socket"
    address.unlink(missing_ok=True)
    command = [sys.executable, __file__, str(address), *needless]
    _running.append(
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, preexec_fn=_ignore_interrupts)
    )
    os.environ[ADDRESS] = str(address)


def forgo() -> None:
    """Let the jobs of this process run by themselves, whatever server its environment names."""
    os.environ.pop(ADDRESS, None)


def _answers(address: str | None) -> bool:
    if address is None:
        return False
    with socket.socket(socket.AF_UNIX) as server:
        try:
            _connect(server, address)
        except OSError:
            return False
        return _user_of(server) == os.geteuid()


def _ignore_interrupts() -> None:
    # Control-C is for the jobs; the server ends with the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def hand_over() -> None:
    """Let the server run this process's script and end with its exit status; return if there is no server."""
    address = os.environ.pop(ADDRESS, None)
    if address is None:
        return
    with socket.socket(socket.AF_UNIX) as server:
        try:
            _connect(server, address)
        except OSError:
            return
        if _user_of(server) != os.geteuid():
            print("the server of jobs is that of another user: this job runs without it", file=sys.stderr)
            return
        # From here on Control-C ends this process at once; what it would say of itself is of no use.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        parts = [os.getcwd(), str(len(sys.argv)), *sys.argv, str(len(sys.path)), *sys.path]
        parts += [part for pair in os.environ.items() for part in pair]
        # None of them can hold a zero byte.
        text = "\0".join(parts).encode(errors="surrogateescape")
        outputs = array.array("i", [1, 2])
        try:
            server.sendmsg(
                [len(text).to_bytes(_LENGTH, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, outputs.tobytes())]
            )
            server.sendall(text)
            answer = server.recv(16)
        except OSError:  # the server was killed
            answer = b""
    if not answer:
        print("error: the process that runs this job ended; look for a kill, for want of memory too", file=sys.stderr)
    status = int(answer) if answer else 1
    if status < 0:
        os.kill(os.getpid(), -status)
    os._exit(status)


def serve(address: str, needless: "Collection[str]" = ()) -> None:
    """Import the libraries but the ``needless`` ones, then fork a process for each request, until standard input ends."""
    import threading

    with socket.socket(socket.AF_UNIX) as listener:
        _bind(listener, address)
        listener.listen(64)
        threading.Thread(target=_end_with_the_run, args=(address,), daemon=True).start()
        _import_libraries(needless)
        # So that nobody has to wait for the forks that attend to jobs.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            client, _ = listener.accept()
            if _user_of(client) != os.geteuid():
                client.close()
                continue
            if os.fork() == 0:
                listener.close()
                _attend(client)
            client.close()


def _import_libraries(needless: "Collection[str]") -> None:
    import gc
    import importlib

    # Asked for devices in the other way, CUDA would be initialised here and of no use in forks.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    for library in (library for library in LIBRARIES if library not in needless):
        try:
            importlib.import_module(library)
        except ImportError:
            # Then the job that needs it says so.
            print(f"forkserver: {library} cannot be imported", file=sys.stderr)
    if xarray := sys.modules.get("xarray"):
        # Else each job looks through all installed packages for what makes its arrays lazy.
        xarray.Dataset({"x": ("x", [0])}).chunk()
    # The first pass over objects would copy all their pages in each fork.
    gc.collect()
    gc.freeze()


def _end_with_the_run(address: str) -> None:
    os.read(0, 1)
    if os.path.exists(address):
        os.unlink(address)
    os._exit(0)


def _attend(client: socket.socket) -> None:
    """Run one job in a process of its own, report its exit status, and end it if the client is gone."""
    import contextlib
    import threading

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        request, outputs = _receive(client)
    except (OSError, ValueError):
        # The client was killed before it had said what to run, so nobody waits.
        os._exit(1)
    job = os.fork()
    if job == 0:
        client.close()
        _run(request, outputs)

    # Not the number of the process, which may be another's once the job has ended.
    descriptor = os.pidfd_open(job)

    def watch() -> None:
        # The client sends nothing more, so this returns when it has ended.
        client.recv(1)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
    with contextlib.suppress(OSError):
        client.sendall(str(status).encode())
    os._exit(0)


class _Request:
    """What a process was started with; raises ValueError for a text that does not say it."""

    def __init__(self, text: bytes) -> None:
        self.folder, *left = text.decode(errors="surrogateescape").split("\0")
        self.argv, left = self._take(left)
        self.path, left = self._take(left)
        self.environment = dict(zip(left[::2], left[1::2], strict=True))

    @staticmethod
    def _take(parts: list[str]) -> tuple[list[str], list[str]]:
        number = int(parts[0]) if parts else -1
        if not 0 <= number < len(parts):
            raise ValueError("the request says another number of words than it has")
        return parts[1 : 1 + number], parts[1 + number :]


def _receive(client: socket.socket) -> "tuple[_Request, array.array[int]]":
    """Return the request and the descriptors of its outputs; raises OSError or ValueError if it is not whole."""
    outputs = array.array("i")
    head, rights, _, _ = client.recvmsg(_LENGTH, socket.CMSG_SPACE(2 * outputs.itemsize))
    for level, kind, content in rights:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            outputs.frombytes(content[: len(content) - len(content) % outputs.itemsize])
    left, parts = int.from_bytes(head, "big"), list[bytes]()
    if len(head) != _LENGTH or len(outputs) != 2 or left > _LONGEST:
        raise ValueError("no request")
    while left:
        part = client.recv(min(left, 1 << 16))
        if not part:
            raise ValueError("the request ends before its end")
        parts.append(part)
        left -= len(part)
    return _Request(b"".join(parts)), outputs


def _user_of(connection: socket.socket) -> int:
    """Return the user at the other end of a connection, as the kernel noted when it was made."""
    numbers = array.array("i", bytes(12))
    _, user, _ = array.array("i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, len(numbers.tobytes())))
    return user


def _run(request: _Request, outputs: "array.array[int]") -> None:
    """Become the job's process and end with its exit status."""
    import runpy
    import traceback

    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(outputs[0], 1)
    os.dup2(outputs[1], 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv[:], sys.path[:] = request.argv, request.path
    _limit_threads()
    status = 1
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _limit_threads() -> None:
    """Give libraries that read their number of threads when they were imported the one that Snakemake asks for."""
    threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    if threads:
        sys.modules["threadpoolctl"].threadpool_limits(threads)
        sys.modules["torch"].set_num_threads(threads)


def _connect(client: socket.socket, address: str) -> None:
    with _in_folder_of(address) as name:
        client.connect(name)


def _bind(listener: socket.socket, address: str) -> None:
    # A socket is made with the permissions that the umask leaves, and who may write to it may connect.
    before = os.umask(0o177)
    try:
        with _in_folder_of(address) as name:
            listener.bind(name)
    finally:
        os.umask(before)


class _in_folder_of:  # noqa: N801
    """The name of a socket from inside its folder: an address has at most 107 bytes, a path may have more."""

    def __init__(self, address: str) -> None:
        self._folder, self._name = os.path.split(address)

    def __enter__(self) -> str:
        self._before = os.getcwd()
        os.chdir(self._folder)
        return self._name

    def __exit__(self, *error: object) -> None:
        os.chdir(self._before)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
