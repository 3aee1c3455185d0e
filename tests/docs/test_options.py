"""Commands and options that the docs name exist, of blocks that no test runs too."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path

import pytest
import typer

from gigakit.cli.app import build_app
from gigakit.config import recipes

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(gigakit [^`]+)`")
CALL = re.compile(r"^(?:\$ |.*&& |> )?(?:\.venv/bin/)?(gigakit [a-z].*)$")


def calls(text):
    """Return the command lines of a page."""
    blocks = [block for language, block in FENCED.findall(text) if language != "python"]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    found = [match[1] for line in lines if (match := CALL.match(line))]
    return [*found, *(" ".join(line.split()) for line in INLINE.findall(FENCED.sub("", text)))]


@functools.cache
def group(recipe):
    return typer.main.get_command(build_app(["ablate", recipe]))


def recipe_of(words):
    return next((word for word in words[2:] if word in recipes()), "gigapath_slide")


def problem(line):
    """Return what is wrong with a command line; ``None`` if nothing, or if it is prose."""
    try:
        words = shlex.split(line.partition("  ")[0].partition(" #")[0])
    except ValueError:
        return None
    command = group(recipe_of(words) if words[1] == "ablate" else "gigapath_slide")
    for name in words[1:]:
        commands = getattr(command, "commands", None)
        if commands is None:
            break
        if name in ("KIND", "..."):
            return None
        if name not in commands and not name.startswith("-"):
            return f"no command '{name}'"
        command = commands.get(name, command)
        if name.startswith("-"):
            break
    known = {"-h", "--help", "--version", "--debug"}
    known |= {option for parameter in command.params for option in parameter.opts}
    known |= {"--install-completion", "--show-completion"}
    given = [word.partition("=")[0] for word in words if word.startswith("--")]
    unknown = [option for option in given if option not in known]
    return f"no option {', '.join(unknown)}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_options_exist(page):
    found = {line: problem(line) for line in calls(page.read_text(encoding="utf-8"))}
    assert {line: what for line, what in found.items() if what} == {}


def test_a_wrong_option_is_seen():
    assert problem("gigakit embed slides.csv --executor shard") == "no option --executor"
    assert problem("gigakit ablate --atention dilated") == "no option --atention"
    assert problem("gigakit retrain x") == "no command 'retrain'"
    assert problem("gigakit ablate gigapath_tile --blur intended,released --seeds 3") is None
