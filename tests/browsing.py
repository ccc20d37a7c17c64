"""A real browser without a window, for the tests of pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}


def program() -> str:
    """Return the browser; without one the test fails, since nothing else looks at the pages."""
    named = os.environ.get("PATCHPROBE_BROWSER")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.fail(f"no browser ({named or ', '.join(NAMES)}): run `make browser`, or set PATCHPROBE_BROWSER to one")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the browser, and end it."""
    with sync_playwright() as play:
        # The sandbox needs rights that containers do not give; what is opened here is our own.
        started = play.chromium.launch(executable_path=program(), args=["--no-sandbox"])
        yield started
        started.close()


@contextmanager
def opened(started: Browser, path: Path, size: dict[str, Any] = DESKTOP) -> Iterator[Page]:
    """Open a page of ours; afterwards nothing may have been loaded, said on the console or popped up."""
    context = started.new_context(**size)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: note_request(request.url, path, wrong))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=true]", timeout=30_000)
    yield page
    context.close()
    assert not wrong


def note_request(url: str, path: Path, wrong: list[str]) -> None:
    """Note what is asked for, but for the page itself and its own pictures."""
    if not url.startswith(("blob:", "data:")) and url.partition("#")[0] != path.as_uri():
        wrong.append(f"request: {url}")
