"""Values against annotations."""

from __future__ import annotations

import pytest

from gigakit.config.annotations import choices, fits


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, "int", True),
        (1.0, "int", False),
        (True, "int", False),
        (1, "float", True),
        (True, "float", False),
        ("1", "float", False),
        (1, "bool", False),
        ("a", "str", True),
        (None, "str", False),
        (None, "str | None", True),
        (None, "Optional[str]", True),
        (3, "Optional[str]", False),
        (3, "Union[str, int]", True),
        (3.5, "typing.Union[str, int]", False),
        ("a", "Literal['a', 'b']", True),
        ("c", "Literal['a', 'b'] | None", False),
        ([1, 2], "tuple[int, ...]", True),
        ([1, "x"], "tuple[int, ...]", False),
        ((1, 2.0), "tuple[int, float]", True),
        ((1,), "tuple[int, float]", False),
        ([1.5], "Sequence[int]", False),
        (3, "Sequence[int]", False),
        ("ab", "Sequence[str]", False),
        ([[1], [2]], "list[list[int]]", True),
        ({"a": 1}, "dict[str, int]", True),
        ([], "dict", False),
        ({}, "Mapping[str, Any] | None", True),
        ([], "Sequence[dict[str, Any]]", True),
        ("a", "Path", True),
        ("x", "Tensor | float", True),
        (3, "nn.Module", True),
        (3, "Callable[[int], int]", True),
        (3, "'int'", True),
        ("3", "'int'", False),
        (3, "not an annotation", True),
    ],
)
def test_fits(value, annotation, expected):
    assert fits(value, annotation) is expected


def test_choices_are_those_of_the_literals():
    assert choices("Literal['a', 2] | None") == ["a", 2]
    assert choices("int") == []
    assert choices("(") == []
