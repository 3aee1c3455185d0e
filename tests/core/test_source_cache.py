"""Readings kept on disk."""

from __future__ import annotations

import os

import pytest

from gigakit.core import source_cache
from gigakit.core.source_cache import SourceCache, user_cache_folder


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("GIGAKIT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "code" / "mod.py"
    path.parent.mkdir()
    path.write_text("class A:\n    def __init__(self, a: int = 1, **kw): ...\n", encoding="utf-8")
    return path


def test_a_second_process_parses_nothing(file, monkeypatch):
    first = SourceCache()
    reading = first.read(file, "mod")
    first.write()
    monkeypatch.setattr(source_cache, "read_source", lambda *_: pytest.fail("parsed again"))
    assert SourceCache().read(file, "mod") == reading


def test_a_changed_file_is_read_again(file):
    cache = SourceCache()
    cache.read(file, "mod")
    cache.write()
    file.write_text("class B: ...\n", encoding="utf-8")
    os.utime(file, ns=(1, 1))
    assert list(cache.read(file, "mod").definitions) == ["B"]
    assert list(SourceCache().read(file, "mod").definitions) == ["B"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"mod.py": [1]}', '{"mod.py": [1, 2, {}]}'])
def test_a_damaged_cache_costs_time_only(file, damage):
    cache = SourceCache()
    reading = cache.read(file, "mod")
    cache.write()
    (entry,) = (user_cache_folder() / "catalogue").iterdir()
    entry.write_text(damage, encoding="utf-8")
    assert SourceCache().read(file, "mod") == reading


def test_a_cache_that_cannot_be_written_is_no_error(file, monkeypatch):
    monkeypatch.setenv("GIGAKIT_CACHE", str(file))
    cache = SourceCache()
    assert list(cache.read(file, "mod").definitions) == ["A"]
    cache.write()
    assert file.read_text(encoding="utf-8").startswith("class A")


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("GIGAKIT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_folder() == tmp_path / "gigakit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache_folder() == tmp_path / ".cache" / "gigakit"
