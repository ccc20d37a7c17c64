"""Text that others wrote (servers, files of weights, data sets), made fit to be shown in a terminal or on a page.

A terminal obeys some characters and hides others, and a line break can begin what looks like a message of ours.
"""


def printable(text: str, *, keep: str = "") -> str:
    """Return text with everything but printable characters and those of ``keep`` written as Python escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def shown(text: object, limit: int = 200) -> str:
    """Return :func:`printable` text of at most ``limit`` characters, the middle of a longer one left out."""
    # Cut first: the whole may be of any length.
    whole = str(text)
    written = printable(whole[:limit] if len(whole) <= limit else f"{whole[: limit // 2]}…{whole[-(limit // 2) :]}")
    return written if len(written) <= limit else f"{written[: limit // 2 - 1]}…{written[-(limit // 2) :]}"
