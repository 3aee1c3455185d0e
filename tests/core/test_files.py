"""Atomic files and digests."""

from __future__ import annotations

import os
import pickle

import pytest

from gigakit.core.errors import ConfigError, InterruptedRunError
from gigakit.core.files import (
    atomic_path,
    digest8,
    file_sha256,
    remove_abandoned,
    write_json,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    target = tmp_path / "a.txt"
    write_text(target, "old")

    def fail_half_way():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_written_file_has_ordinary_permissions(tmp_path):
    plain, atomic = tmp_path / "plain", tmp_path / "deep" / "atomic"
    plain.write_text("x")
    write_text(atomic, "x")
    assert atomic.stat().st_mode == plain.stat().st_mode


def test_json_refuses_non_finite_numbers_and_keeps_the_old_file(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(target, {"a": float("nan")})
    assert '"a": 1' in target.read_text()


def test_digests_ignore_key_order_and_see_values():
    assert digest8({"a": 1, "b": [1, 2]}) == digest8({"b": [1, 2], "a": 1})
    assert digest8({"a": 1}) != digest8({"a": 2})
    assert len(digest8({})) == 8


def test_sha256_of_a_known_text(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert file_sha256(tmp_path / "x").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_errors_say_where_what_and_fix_and_travel_between_processes():
    error = ConfigError("found 3", where="a.py:1", fix="give 4")
    assert str(error) == "a.py:1: found 3; give 4"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert InterruptedRunError("stop").exit_code == 130


def test_files_that_killed_writers_left_are_removed_once_they_are_old(tmp_path):
    (tmp_path / "overview").mkdir()
    old = [tmp_path / ".a.h5.x1.part", tmp_path / "overview" / ".a.jpg.x2.part"]
    young, whole = tmp_path / ".b.h5.x3.part", tmp_path / "a.h5"
    for path in (*old, young, whole):
        path.write_bytes(b"x")
    for path in (*old, whole):
        os.utime(path, (1.0, 1.0))
    remove_abandoned(tmp_path)
    assert not any(path.exists() for path in old)
    assert young.exists()
    assert whole.exists()
