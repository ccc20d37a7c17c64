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
    from collections.abc import Callable, Collection, Iterable
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
# Each fork copies the list of the server's pages, which is shorter where they are larger. OpenBLAS starts its threads in each
# fork anew, and they would spin for 2^26 cycles before they sleep. Jobs have their own environment.
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "OPENBLAS_THREAD_TIMEOUT": "4"}
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
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=os.environ | ENVIRONMENT,
            preexec_fn=_ignore_interrupts,
        )
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
    """Import the libraries but the ``needless`` ones, then fork a process for each request.

    When standard input ends no more are taken, and the server ends with the last job; jobs end with it if it is killed.
    """
    with socket.socket(socket.AF_UNIX) as listener:
        _bind(listener, address)
        listener.listen(64)
        _import_libraries(needless)
        _Server(address, listener).attend()


def _import_libraries(needless: "Collection[str]") -> None:
    import gc
    import importlib

    gc.disable()  # what is imported stays
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
    # What most jobs ask for, and takes long.
    _limit_threads(1)
    # The first pass over objects would copy all their pages in each fork.
    gc.collect()
    gc.freeze()
    gc.enable()


class _Server:
    """Attends to all clients in one process: a fork takes long where so much is imported, so there is one for each job."""

    def __init__(self, address: str, listener: socket.socket) -> None:
        import contextlib
        import ctypes
        import selectors

        self._suppress = contextlib.suppress
        self._address, self._listener = address, listener
        self._selector = selectors.DefaultSelector()
        self._clients: set[_Client] = set()
        self._prctl = ctypes.CDLL(None).prctl
        self._watch(listener, self._accept)
        self._watch(0, self._close)

    def attend(self) -> None:
        while self._selector.get_map():
            for key, _ in self._selector.select():
                # What an event before this one of the same round has closed is no longer there.
                if self._selector.get_map().get(key.fd) is key:
                    key.data()

    def _watch(self, what: "int | socket.socket", attend: "Callable[[], None]") -> None:
        self._selector.register(what, 1, attend)  # EVENT_READ

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        if _user_of(connection) != os.geteuid():
            connection.close()
            return
        connection.setblocking(False)
        client = _Client(connection)
        self._clients.add(client)
        self._watch(connection, lambda: self._hear(client))

    def _close(self) -> None:
        """Take no more jobs, since the run has ended."""
        self._selector.unregister(0)
        self._selector.unregister(self._listener)
        self._listener.close()
        if os.path.exists(self._address):
            os.unlink(self._address)

    def _hear(self, client: "_Client") -> None:
        try:
            request = client.receive()
        except (OSError, ValueError):
            # Killed before it had said what to run, so nobody waits.
            self._dismiss(client)
            return
        if request is not None:
            self._start(client, request)

    def _start(self, client: "_Client", request: "_Request") -> None:
        job = os.fork()
        if job == 0:
            self._prctl(1, int(signal.SIGKILL))  # PR_SET_PDEATHSIG: nobody would hear of its end
            self._listener.close()
            for other in self._clients - {client}:
                other.close()
            client.connection.close()
            self._selector.close()
            _run(request, client.outputs)
        # Who reads them waits for all that hold them.
        client.close_outputs()
        # Not the number of the process, which may be another's once the job has ended.
        descriptor = os.pidfd_open(job)
        self._watch(descriptor, lambda: self._report(client, job, descriptor))
        # The client sends nothing more, so this is called when it has ended.
        self._selector.modify(client.connection, 1, lambda: self._abandon(client, descriptor))

    def _abandon(self, client: "_Client", descriptor: int) -> None:
        """End the job of a client that has ended, which :meth:`_report` hears of."""
        self._selector.unregister(client.connection)
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)

    def _report(self, client: "_Client", job: int, descriptor: int) -> None:
        status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
        self._selector.unregister(descriptor)
        os.close(descriptor)
        with self._suppress(OSError):  # the client has ended
            client.connection.send(str(status).encode())
        self._dismiss(client)

    def _dismiss(self, client: "_Client") -> None:
        if self._selector.get_map().get(client.connection.fileno()):
            self._selector.unregister(client.connection)
        self._clients.remove(client)
        client.close()


class _Client:
    """The process that waits for a job, which first says what to run."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.outputs = array.array("i")
        self._heard = b""

    def receive(self) -> "_Request | None":
        """Return the request once it is whole; raises OSError or ValueError if it cannot become that."""
        room = socket.CMSG_SPACE(2 * self.outputs.itemsize)
        part, rights, _, _ = self.connection.recvmsg(1 << 16, room)
        for level, kind, content in rights:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self.outputs.frombytes(content[: len(content) - len(content) % self.outputs.itemsize])
        self._heard += part
        length = int.from_bytes(self._heard[:_LENGTH], "big")
        if not part or len(self.outputs) != 2 or (len(self._heard) >= _LENGTH and length > _LONGEST):
            raise ValueError("no request")
        whole = len(self._heard) >= _LENGTH + length
        return _Request(self._heard[_LENGTH:]) if whole else None

    def close(self) -> None:
        self.connection.close()
        self.close_outputs()

    def close_outputs(self) -> None:
        while self.outputs:
            os.close(self.outputs.pop())


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


def _user_of(connection: socket.socket) -> int:
    """Return the user at the other end of a connection, as the kernel noted when it was made."""
    numbers = array.array("i", bytes(12))
    _, user, _ = array.array("i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, len(numbers.tobytes())))
    return user


def _run(request: _Request, outputs: "array.array[int]") -> None:
    """Become the job's process and end with its exit status."""
    import runpy
    import traceback

    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for place, output in enumerate(outputs, start=1):
            os.dup2(output, place)
            os.close(output)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(request.folder)
        os.environ.clear()
        os.environ.update(request.environment)
        sys.argv[:], sys.path[:] = request.argv, request.path
        # As Snakemake asks for; one is what the server has.
        threads = int(request.environment.get("OMP_NUM_THREADS", "0")) or len(os.sched_getaffinity(0))
        if threads != 1:
            _limit_threads(threads)
        runpy.run_path(sys.argv[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        # Where it came is of no use, and may be before there is a log for it.
        print("interrupted", file=sys.stderr)
        status = 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _limit_threads(threads: int) -> None:
    """Give libraries that read their number of threads when they were imported another one."""
    if "torch" in sys.modules:
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
    os._exit(0)  # not by way of what libraries say at the end of a process
