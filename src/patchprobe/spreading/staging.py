"""Objects with large arrays, such as a memory bank, laid out once in a file that every worker maps into its memory.

A file reaches each worker once, whatever the number of tasks, survives the end of any worker, and is one copy in the memory of a machine,
which its workers share. It is a pickle (protocol 5) whose arrays lie beside it, out of band, each at a multiple of 64
bytes; where they are mapped they are read-only. Only tasks of the run's own scheduler read these files.
"""

import contextlib
import mmap
import os
import pickle
import shutil
import threading
import uuid
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

from patchprobe.files import disk_errors
from patchprobe.spreading.cluster import FOLDER

HELD = 4
"""Files that a worker keeps mapped, those used last."""

_ALIGNMENT = 64
_held: OrderedDict[str, Any] = OrderedDict()
_holding = threading.Lock()
_of_objects: dict[int, tuple["weakref.ref[Any]", "Staged"]] = {}


class Staged:
    """A file with one object, removed with this handle in the process that made it; travels as its path."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        weakref.finalize(self, path.unlink, missing_ok=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return Mapped, (str(self.path), self.size)


class Mapped:
    """What a worker gets of a staged object."""

    def __init__(self, path: str, size: int) -> None:
        self.path, self.size = path, size

    def load(self, *, keep: bool = True) -> Any:
        """Return the object, mapped once in this process, or for this once only."""
        if not keep:
            return read(Path(self.path))
        with _holding:
            if self.path not in _held:
                # Those of jobs that have ended are of no use.
                for path in [path for path in _held if not os.path.exists(path)]:  # noqa: PTH110
                    del _held[path]
                _held[self.path] = read(Path(self.path))
                while len(_held) > HELD:
                    _held.popitem(last=False)
            _held.move_to_end(self.path)
            return _held[self.path]


def staged(thing: Any) -> Staged:
    """Return the file of an object, written when it is first asked for; it is removed when object or handle ends.

    What the object learns later is not in it. Raises StoreError if the disk takes no more.
    """
    known = _of_objects.get(id(thing))
    if known is not None and known[0]() is thing:
        return known[1]
    handle, key = write(thing), id(thing)
    # A list or tuple cannot be told from another that takes its place in memory.
    with contextlib.suppress(TypeError):
        _of_objects[key] = (weakref.ref(thing, lambda _: _of_objects.pop(key, None)), handle)
    return handle


def write(thing: Any) -> Staged:
    """Lay an object out in a new file; raises StoreError if the disk takes no more."""
    import cloudpickle

    buffers: list[pickle.PickleBuffer] = []
    head = cloudpickle.dumps(thing, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    path = FOLDER.resolve() / f"{os.getpid()}-{uuid.uuid4().hex}.bank"
    with disk_errors(path), _new(path) as file:
        starts, place = [], 0
        for view in views:
            starts.append(place)
            place += -(-view.nbytes // _ALIGNMENT) * _ALIGNMENT
        for start, view in zip(starts, views, strict=True):
            file.seek(start)
            file.write(view)
        file.seek(place)
        file.write(head)
        file.write(pickle.dumps([(start, view.nbytes) for start, view in zip(starts, views, strict=True)]))
        file.write(place.to_bytes(8, "little") + len(head).to_bytes(8, "little"))
        size = file.tell()
    return Staged(path, size)


def read(path: Path) -> Any:
    """Return the object of a file, its arrays mapped read-only."""
    with path.open("rb") as file:
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    place, length = (int.from_bytes(whole[start : start + 8], "little") for start in (len(whole) - 16, len(whole) - 8))
    head = whole[place : place + length]
    table = pickle.loads(whole[place + length : len(whole) - 16])
    return pickle.loads(head, buffers=[whole[start : start + size] for start, size in table])


def _new(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path.open("xb")


def clear() -> None:
    """Remove what jobs that were killed have left; for the start of a run, when no job works in the folder."""
    shutil.rmtree(FOLDER, ignore_errors=True)
