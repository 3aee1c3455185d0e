"""Every block of the docs that is titled "tested" runs as it stands, pages from top to bottom."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.DOTALL | re.MULTILINE)
TESTED = "tested"
# what makes a training small enough for a test; a later option wins over the page's
SMALLER = {
    "train": ("--set", "train_cfg.max_steps=2", "--set", "model.encoder.depth=1"),
    "ablate": ("--set", "train_cfg.max_steps=2", "--seeds", "1", "--probe-steps", "0"),
}


def blocks(page):
    """Return language, title and text of each titled block of a page."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


PAGES = [page for page in sorted(DOCS.glob("*.md")) if any(b[1] == TESTED for b in blocks(page))]


@pytest.fixture(scope="session")
def tools(warm_tools, tmp_path_factory):
    """Return a folder with ``gigakit``, whose trainings are short, and ``python``."""
    folder = tmp_path_factory.mktemp("bin")
    cases = "".join(
        f"  {name}) set -- \"$@\" {shlex.join(more)};;\n" for name, more in SMALLER.items()
    )  # fmt: skip
    warm = shlex.quote(str(warm_tools / "gigakit"))
    (folder / "gigakit").write_text(f'#!/bin/bash\ncase "$1" in\n{cases}esac\nexec {warm} "$@"\n')
    (folder / "gigakit").chmod(0o755)
    (folder / "python").symlink_to(warm_tools / "python")
    return folder


def test_the_tutorial_and_a_how_to_are_among_them():
    assert {"tutorial.md", "own_attention.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_run(page, repository, tools, tmp_path):
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(repository)}
    for language, title, text in blocks(page):
        if title != TESTED:
            (tmp_path / title).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / title).write_text(text)
            continue
        assert language == "bash", text
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
