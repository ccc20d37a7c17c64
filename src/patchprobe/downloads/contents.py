"""What the first bytes of a download say that it is."""

import codecs
import re

# Bytes that tell what a file is.
BEGINNING = 4096

_PAGE = re.compile(r"<(!doctype\s+html|html|head|body|title|meta|script|\?xml|!--)", re.IGNORECASE)
_ARCHIVES = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")


def is_web_page(beginning: bytes) -> bool:
    """Tell whether first bytes are those of HTML or XML, in any encoding and behind whatever comments."""
    text = as_text(beginning)
    return bool(_PAGE.match((beginning.decode("latin-1") if text is None else text).lstrip()))


def as_text(beginning: bytes) -> str | None:
    """Decode first bytes, whose last character may be cut off; None if they are not text."""
    utf16 = beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        decoder = codecs.getincrementaldecoder("utf-16" if utf16 else "utf-8-sig")()
        text = decoder.decode(beginning)
    except UnicodeDecodeError:
        return None
    return text if "".join(text.split()).isprintable() else None


def no_archive(beginning: bytes) -> str:
    """Say what a file is whose first bytes are those of no archive; empty if they may be."""
    if not beginning:
        return "empty"
    if beginning.startswith(_ARCHIVES) or beginning[257:262] == b"ustar":
        return ""
    if is_web_page(beginning):
        return "a web page"
    text = as_text(beginning)
    return "of no known format" if text is None else f"text ({text.strip()[:60]!r})"
