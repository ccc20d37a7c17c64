"""Progress bars that redraw on a terminal and write a line per update into a log."""

import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm


def progress_bar(total: int, description: str, unit: str, *, done: int = 0) -> tqdm:
    """Return a bar on stderr for ``total`` units, ``done`` of which were finished before."""
    interactive = sys.stderr.isatty()
    return _Progress(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        ascii=True,
        file=sys.stderr,
        miniters=1,
        mininterval=0.5 if interactive else 10.0,
        ncols=None if interactive else 90,
    )


class _Progress(tqdm):
    monitor_interval = 0  # no thread that outlives the bar

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        if file.isatty():
            redraw: Callable[[str], None] = tqdm.status_printer(file)
            return redraw

        def print_line(text: str) -> None:
            file.write(f"{text.rstrip()}\n")
            file.flush()

        return print_line
