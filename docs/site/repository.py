"""Hook of the site: pages that lie elsewhere in the repository, and links between files of it."""

from __future__ import annotations

import logging
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LOGGER = logging.getLogger("mkdocs.hooks.repository")
ROOT = Path(__file__).resolve().parents[2]
# files of the repository that are pages too, by the page's name
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "tools/bench/README.md": "benchmarks.md",
}
# files of the site itself
OWN = ("style.css", "iframe-worker.js")
_PAGES = {page: path for path, page in ELSEWHERE.items()}
_FENCE = re.compile(r"^ *(```|~~~)")
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_ITEM = re.compile(r"^\d+\. ")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from elsewhere, and the files of the site itself."""
    for path, page in ELSEWHERE.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    for name in OWN:
        source = Path(__file__).with_name(name)
        files.append(File.generated(config, name, abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Turn links between files of the repository into links between pages, and indent lists."""
    uri = page.file.src_uri
    here = _PAGES.get(uri, f"docs/{uri}")
    lines = []
    for line, is_code in _code_lines(_indented(markdown)):
        lines.append(line if is_code else _LINK.sub(lambda m: _link(m, here, uri, files), line))
    return "\n".join(lines)


def _link(found: re.Match[str], here: str, uri: str, files: Files) -> str:
    image, text, target = found.groups()
    path, mark, anchor = target.partition("#")
    if not path or "://" in path or path.startswith("mailto:"):
        return found[0]
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
    inside = ELSEWHERE.get(wanted) or wanted.removeprefix("docs/")
    if files.get_file_from_path(inside) is not None:
        relative = posixpath.relpath(inside, posixpath.dirname(uri) or ".")
        return f"{image}[{text}]({relative}{mark}{anchor})"
    if not (ROOT / wanted).exists():
        LOGGER.warning("%s links to %s, which is not in the repository", here, target)
    # a file of the sources has no page
    return text


def _indented(markdown: str) -> str:
    """Indent what belongs to a numbered item by four spaces, as Python-Markdown wants it."""
    lines, inside = [], False
    for line in markdown.split("\n"):
        if _ITEM.match(line):
            inside = True
        elif line and not line.startswith(" "):
            inside = False
        lines.append(f" {line}" if inside and line.startswith("   ") else line)
    return "\n".join(lines)


def _code_lines(markdown: str) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it is part of a fenced block."""
    inside = False
    for line in markdown.split("\n"):
        is_fence = bool(_FENCE.match(line))
        yield line, inside or is_fence
        inside ^= is_fence
