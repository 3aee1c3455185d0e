"""Tables that users write."""

from __future__ import annotations

import pytest

from gigakit.core.errors import ConfigError
from gigakit.core.tables import read_rows


def test_rows_come_with_their_place(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes('tile, label\r\n"a,b.png",x\r\n\r\nc.png,\r\n'.encode("utf-8-sig"))
    assert list(read_rows(path, "tile")) == [
        (f"{path}:2", {"tile": "a,b.png", "label": "x"}),
        (f"{path}:4", {"tile": "c.png", "label": ""}),
    ]


def test_columns_may_be_named_in_any_case(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("Tile,LABEL\nA,B\n")
    assert list(read_rows(path, "tile", any_case=True)) == [
        (f"{path}:2", {"tile": "A", "label": "B"})
    ]
    with pytest.raises(ConfigError, match="has no column 'tile', only Tile, LABEL"):
        list(read_rows(path, "tile"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name\na\n", r"t\.csv: has no column 'tile', only name; its first line must name"),
        (b"", "has no column 'tile', only nothing"),
        (b"tile,tile\na,b\n", "names a column twice"),
        (b"tile,label\na\n", r"t\.csv:2: 1 fields for 2 columns"),
        (b"tile\n\xe9\n", "is no table in UTF-8"),
    ],
)
def test_what_is_no_table_is_told(tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        list(read_rows(path, "tile"))


def test_a_missing_table_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.csv: no such table; check the path"):
        list(read_rows(tmp_path / "none.csv"))
    with pytest.raises(ConfigError, match="no such table"):
        list(read_rows(tmp_path))
