"""Hooks of the documentation site: its pages lie where they lie in the repository, so that one link serves both views.

MkDocs takes one folder of pages; some of ours are elsewhere, beside what they describe. What Markdown means otherwise to
MkDocs than to the repository's own view, without an error of its own, is a warning here, which ``strict`` makes an error.
"""

import logging
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "config/README.md",
    "profiles/README.md",
    "results/README.md",
    "docs/*.md",
)
# What pages show or link to and is no page.
OTHERS = (
    "LICENSE",
    "CITATION.cff",
    ".github/ISSUE_TEMPLATE/verify_model.yml",
    "docs/images/*",
    "docs/site/*.js",
    "docs/site/*.css",
)
log = logging.getLogger("mkdocs.hooks.pages")  # whose warnings strict counts


def on_files(files: Files, config: Any) -> Files:
    """Replace the files of the folder of documents by those of the whole repository that belong to the site."""
    for file in list(files):
        if Path(file.src_dir or "").resolve() == Path(config.docs_dir).resolve():
            files.remove(file)
    for pattern in (*PAGES, *OTHERS):
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_content(html: str, page: Any, **_: Any) -> None:
    """Warn of lists and tables that have become text, for want of an empty line or of enough spaces before them."""
    for text in re.findall(r"<p>(.*?)</p>", html, flags=re.DOTALL):
        for line in text.splitlines()[1:]:
            if re.match(r"\s*([-*] |\||1\. )\S", line):
                log.warning("%s: this stands in a paragraph: %s", page.file.src_uri, line)
