"""Parts of pages that are made from code, between a line that says so and one that ends it."""

from patchprobe.errors import ConfigError

END = "<!-- End of the generated part. -->"


def with_part(page: str, begin: str, text: str) -> str:
    """Return the page in Markdown with ``text`` between the line ``begin`` and the next :data:`END`.

    Raises ConfigError if the page lacks one of the two lines.
    """
    head, found, rest = page.partition(begin)
    _, end, tail = rest.partition(END)
    if not (found and end):
        raise ConfigError(f"the page has no lines {begin!r} and {END!r} to write the generated part between: add both")
    return f"{head}{begin}\n\n{text}\n{END}{tail}"
