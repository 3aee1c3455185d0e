"""What docstrings tell of arguments and sources."""

from __future__ import annotations

import inspect

from gigakit.core.catalogue import Catalogue
from gigakit.core.docstrings import argument_texts, source_text, without_arguments

TEXT = inspect.cleandoc(
    """Do a thing.

    Args:
        first: one line; 0.5 in the paper.
        second (int, optional): of two
            lines: the second has a colon.
        kind: ``a``, ``b`` or
            ``c``.

            After an empty line.

    Raises:
        ConfigError: never.

    Source: a paper,
        section 2.
    Differs: in nothing.
    """
)


def test_arguments_are_one_line_each():
    assert argument_texts(TEXT) == {
        "first": "one line; 0.5 in the paper.",
        "second": "of two lines: the second has a colon.",
        "kind": "``a``, ``b`` or ``c``. After an empty line.",
    }
    assert argument_texts("No section.") == {}


def test_source_is_read_whole():
    assert source_text(TEXT) == "a paper, section 2."
    assert source_text("None.") == ""


def test_the_rest_is_kept():
    rest = without_arguments(TEXT)
    assert rest.startswith("Do a thing.\n\nRaises:\n")
    assert rest.endswith("Differs: in nothing.")
    assert "first" not in rest


def test_real_docstrings_of_both_houses():
    catalogue = Catalogue()
    grid = argument_texts(catalogue.components("TILERS")["GridTiler"].docstring)
    assert grid["tile_size_px"] == "side of a tile at the target resolution; 256 in the paper."
    hook = argument_texts(catalogue.components("HOOKS")["EMAHook"].docstring)
    assert hook["ema_type"].startswith("The type of EMA strategy")
