"""Pages that hold all that they need, data too, and work from a file without a network.

Data are one block: the length of a JSON header as uint32, the header, padding to four bytes, then arrays, the bytes of each
value apart, so that equal high bytes lie together; all of it little-endian, gzipped, in base64. A policy in the page lets
nothing be loaded, and nothing run but its own script.
"""

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from patchprobe.errors import printable
from patchprobe.report.formats import GENERATED
from patchprobe.report.page_files import page_files, text_of

LIMIT = 10_000_000  # bytes of a page

Arrays = Mapping[str, npt.NDArray[Any]]


def packed(header: Mapping[str, Any], arrays: Arrays) -> str:
    """Return a header for JSON and arrays, of numbers of one to eight bytes, as the text that a page unpacks.

    The header gets a key ``arrays``: of each name offset (bytes behind the header), type and number of values.
    """
    parts, places, offset = [], {}, 0
    for name, array in arrays.items():
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        values = np.frombuffer(array.tobytes(), np.uint8).reshape(array.size, array.itemsize).T.tobytes()
        places[name] = [offset, f"{array.dtype.kind}{array.itemsize}", array.size]
        padding = -len(values) % 4
        parts.append(values + bytes(padding))
        offset += len(values) + padding
    head = json.dumps({**header, "arrays": places}, ensure_ascii=True, allow_nan=False).encode()
    head += b" " * (-len(head) % 4)
    block = len(head).to_bytes(4, "little") + head + b"".join(parts)
    return base64.b64encode(gzip.compress(block, compresslevel=6, mtime=0)).decode()


def page(title: str, folder: Path, data: str) -> str:
    """Return the page whose own style, script and body, ``body.html``, lie in a folder, with data of :func:`packed`."""
    files = page_files(folder)
    style, script = text_of(files, ".css"), text_of(files, ".js")
    policy = f"default-src 'none'; img-src blob: data:; style-src {_hash(style)}; script-src {_hash(script)}"
    name = html.escape(printable(title))
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f"<!-- {GENERATED} -->",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{name}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            text_of(files, ".html"),
            f'<script type="application/octet-stream" id="data">{data}</script>',
            f"<script>{script}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def fits(text: str) -> bool:
    """Return whether a page is small enough."""
    return len(text.encode()) <= LIMIT


def encoded_texts(values: Sequence[str]) -> tuple[list[str], npt.NDArray[np.uint32]]:
    """Return the different texts in the order in which they come, and of each value which it is."""
    numbers = {text: i for i, text in enumerate(dict.fromkeys(values))}
    return list(numbers), np.array([numbers[text] for text in values], np.uint32)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
