"""The pages of README and docs, and the parts of them that tests look at."""

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "config/README.md",
    ROOT / "profiles/README.md",
    ROOT / "results/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


@cache
def text(page: Path) -> str:
    return page.read_text()


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)


def spans(page: Path) -> list[str]:
    """What stands in backticks within a line."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text(page), flags=re.MULTILINE | re.DOTALL)


def shell_lines(page: Path) -> list[str]:
    """Command lines of shell blocks, continued lines joined, remarks and superfluous blanks dropped."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [line for line in (" ".join(line.split("  #")[0].split()) for line in lines) if line]


def commands(page: Path) -> list[str]:
    """Command lines of shell blocks, and whatever stands in backticks."""
    return shell_lines(page) + [span.strip() for span in spans(page)]


def anchors(page: Path) -> list[str]:
    """The anchor of each title, as the repository's own view makes it."""
    titles = [re.sub(r"[`*]", "", title) for title in re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)]
    return [re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles]
