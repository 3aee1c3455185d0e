"""The site builds without a warning, has every component and command, and needs no network."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from gigakit.core.catalogue import Catalogue
from gigakit.core.kinds import KINDS

pytest.importorskip("mkdocs", reason="the extra docs is not installed")
CONFIG = "docs/site/mkdocs.yml"
# what a browser fetches by itself: tags and the attribute that names it
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


@pytest.fixture(scope="module")
def site(repository, tmp_path_factory):
    """Return the folder of the site; a broken link or anchor ends the build.

    ``--quiet`` would drop the warnings before strict mode counts them.
    """
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "-f", CONFIG, "-d", str(folder)],
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


class _Fetched(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        name = FETCHED.get(tag)
        if name and given.get(name) and given.get("rel") not in ("canonical", "next", "prev"):
            self.found.append(given[name])


def test_no_page_fetches_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        parser = _Fetched()
        parser.feed(page.read_text(encoding="utf-8"))
        assert parser.found
        assert not [url for url in parser.found if re.match(r"(https?:)?//", url)], page


def test_every_component_of_gigakit_has_its_place(site):
    catalogue = Catalogue()
    for kind in KINDS.values():
        own = [c for c in catalogue.components(kind.name).values() if c.origin == "gigakit"]
        if not own:
            continue
        page = site / "reference" / "components" / f"{kind.label}.html"
        text = page.read_text(encoding="utf-8")
        for component in own:
            assert f'id="{component.name.lower()}"' in text, component.name


def test_every_deliberate_difference_is_collected(site):
    text = (site / "reference" / "differences.html").read_text(encoding="utf-8")
    catalogue = Catalogue()
    own = [
        component
        for kind in KINDS.values()
        for component in catalogue.components(kind.name).values()
        if component.origin == "gigakit" and "\nDiffers:" in component.docstring
    ]
    assert len(own) > 20
    assert [c.name for c in own if f">{c.name}</code>" not in text] == []


def test_a_component_is_told_in_full(site):
    text = (site / "reference" / "components" / "attention.html").read_text(encoding="utf-8")
    assert "<code>segment_lengths</code>" in text
    assert "what fills a segment up to" in text
    assert "LongNet (Ding et al. 2023)" in text
    assert "MaskedAutoencoder" in text


@pytest.mark.parametrize(
    ("command", "option"),
    [("train", "--resume"), ("ablate", "--mask-ratio"), ("config", "--origin")],
)
def test_every_command_has_its_options(site, command, option):
    text = (site / "reference" / "commands" / f"{command}.html").read_text(encoding="utf-8")
    assert f"<code>{option}" in text


def test_start_is_the_readme(site, repository):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    first = readme.splitlines()[2].rstrip(".")
    assert first in (site / "index.html").read_text(encoding="utf-8")


def test_a_link_or_an_anchor_to_nowhere_ends_the_build(repository, tmp_path):
    """The site's own settings, on one page without hooks."""
    text = (repository / CONFIG).read_text(encoding="utf-8")
    settings = re.search(r"^strict: true\nvalidation:\n(?:  .*\n)+", text, re.MULTILINE)
    config = "site_name: x\ntheme: { name: mkdocs }\nplugins: []\nnav: [index.md]\n" + settings[0]
    (tmp_path / "mkdocs.yml").write_text(config)
    (tmp_path / "docs").mkdir()
    for target, ends in {"index.md#here": 0, "other.md": 1, "index.md#there": 1}.items():
        (tmp_path / "docs" / "index.md").write_text(f"# Here\n\n[x]({target})\n")
        done = subprocess.run(
            [sys.executable, "-m", "mkdocs", "build"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == ends, done.stderr
