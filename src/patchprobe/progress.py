"""Progress of long work, readable in a terminal and in a log file."""

from collections.abc import Callable
from typing import Any

from tqdm import tqdm

_LONGEST = 30


class Progress(tqdm):
    """A progress bar that writes a line per update where it cannot redraw one, such as in a log file.

    Takes tqdm's arguments; ``file`` has to be given. In a log file a line is written every ten seconds.
    """

    monitor_interval = 0  # no thread that outlives the bar

    def __init__(self, *, file: Any, **options: Any) -> None:
        # A longer one leaves no room for rate and time in a line of a log.
        name = str(options.get("desc") or "")
        options["desc"] = f"{name[: _LONGEST - 3]}..." if len(name) > _LONGEST else name
        plain = {} if file.isatty() else {"mininterval": 10.0, "ncols": 90}
        super().__init__(file=file, **({"ascii": True, "miniters": 1, "mininterval": 0.5} | plain | options))

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        """Return the function that shows the bar."""
        if file.isatty():
            redraw: Callable[[str], None] = tqdm.status_printer(file)
            return redraw

        def print_line(text: str) -> None:
            if text.strip():
                file.write(f"{text.strip()}\n")
                file.flush()

        return print_line
