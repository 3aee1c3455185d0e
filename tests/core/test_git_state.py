"""What git tells of the sources a run was made with."""

from __future__ import annotations

import subprocess

import pytest

from gigakit.core.git_state import git_state


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")

    def git(*arguments):
        run = ["git", "-C", str(tmp_path), *arguments]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "-q", "-b", "trunk")
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return tmp_path, git


def test_a_clean_checkout(checkout):
    folder, git = checkout
    assert git_state(folder / "a.py") == {
        "commit": git("rev-parse", "HEAD"),
        "branch": "trunk",
        "dirty": False,
        "changed": [],
        "diff": "",
        "diff_sha256": None,
    }


def test_changes_are_told_and_kept(checkout):
    folder, git = checkout
    git("checkout", "-q", "--detach")
    (folder / "a.py").write_text("x = 2\n", encoding="utf-8")
    (folder / "b.py").write_text("new\n", encoding="utf-8")
    state = git_state(folder / "a.py")
    assert (state["branch"], state["dirty"]) == (None, True)
    assert state["changed"] == [" M a.py", "?? b.py"]
    assert "-x = 1\n+x = 2\n" in state["diff"]
    assert len(state["diff_sha256"]) == 64


def test_a_long_difference_is_named_only(checkout):
    folder, _ = checkout
    (folder / "a.py").write_text("y = 3\n" * 50_000, encoding="utf-8")
    state = git_state(folder / "a.py")
    assert state["diff"] is None
    assert state["diff_sha256"]


def test_a_file_that_git_does_not_track_has_no_state(checkout, tmp_path_factory, monkeypatch):
    folder, _ = checkout
    (folder / "b.py").write_text("new\n", encoding="utf-8")
    assert git_state(folder / "b.py") is None
    assert git_state(tmp_path_factory.mktemp("elsewhere") / "a.py") is None
    monkeypatch.setenv("PATH", "")
    assert git_state(folder / "a.py") is None
