"""The commands as a user calls them: results, exit codes, one line per error."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

TINY = ("--set", "train_cfg.max_steps=3")


@pytest.fixture
def gigakit(warm_tools, tmp_path):
    """Return a function that runs the command in an empty folder."""

    def run(*arguments, code=0):
        done = subprocess.run(
            [warm_tools / "gigakit", *arguments],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "GIGAKIT_CACHE": str(tmp_path / "cache")},
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def test_from_the_sample_slide_to_an_ablation_table(gigakit, shared, labelled_tiles, tmp_path):
    slide = shared / "data" / "slides" / "cmu-1-small-region.svs"
    gigakit("sample", "--from", str(slide))
    tiled = gigakit("tile", "sample")
    assert "tiling: 1 done; 49 tiles" in tiled.stdout
    assert "tiling: 1 skipped; 49 tiles" in gigakit("embed", "sample").stdout
    trained = gigakit("train", "tiny/slide", *TINY)
    assert "cohort is the sample" in trained.stderr
    assert "full attention plus duplicates" in trained.stderr
    assert "tensorboard --logdir work_dirs/tiny/slide/1" in trained.stderr
    result = json.loads((tmp_path / "work_dirs/tiny/slide/1/result.json").read_text())
    assert result["status"] == "done"
    assert result["steps"] == 3
    assert {"reconstruction/r2", "reconstruction/r2_nearest"} <= result["metrics"].keys()
    _check_tensorboard(tmp_path / "work_dirs/tiny/slide/1")
    again = gigakit("train", "tiny/slide", *TINY)
    assert "tiles (" not in again.stderr
    assert (tmp_path / "work_dirs/tiny/slide/2/result.json").is_file()
    labelled = (
        f"labelled=dict(root={str(labelled_tiles)!r}, table={str(labelled_tiles / 'labels.csv')!r})"
    )
    ablate = ("ablate", "tiny/slide", "--attention", "dilated,flash", *TINY, "--set", labelled)
    table = gigakit(*ablate)
    assert "attention=flash" in table.stdout
    assert "reference: mean" in table.stdout
    (text,) = (path.read_text() for path in tmp_path.rglob("table.md"))
    assert "3 of 5 branches of dilated attention act" in text
    assert "encoder linear" in text
    repeated = gigakit(*ablate)
    assert repeated.stderr.count("skipped") == 2
    (page,) = tmp_path.rglob("index.html")
    shown = gigakit("report", str(page.parent), "--metric", "cosine").stdout
    assert "2 of 2 runs done" in shown


def _check_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    assert {"train/loss", "train/lr", "val/reconstruction/r2"} <= set(events.Tags()["scalars"])
    assert {
        "slide/overview/CMU-1-Small-Region",
        "slide/reconstruction/CMU-1-Small-Region",
    } <= set(events.Tags()["images"])


def test_training_on_ready_features_and_a_used_folder(gigakit, feature_folder, tmp_path):
    given = ("train", "tiny/slide", *TINY, "--set", f"features={feature_folder}")
    gigakit(*given, "--work-dir", "run")
    refused = gigakit(*given, "--work-dir", "run", code=2)
    assert refused.stderr.count("\n") == 1
    assert "--resume" in refused.stderr
    assert "--overwrite" in refused.stderr
    gigakit(*given, "--work-dir", "run", "--overwrite")
    (checkpoint,) = (tmp_path / "run").rglob("step-*.pth")
    gigakit(*given, "--work-dir", "other", "--init-from", str(checkpoint))


def test_some_slides_failed_is_exit_code_3(gigakit, shared, tmp_path):
    folder = tmp_path / "slides"
    folder.mkdir()
    shutil.copy(shared / "data" / "slides" / "cmu-1-small-region.svs", folder / "good.svs")
    shutil.copy(shared / "data" / "odd" / "html_error_page.svs", folder / "bad.svs")
    done = gigakit("tile", "slides", code=3)
    assert "1 done, 1 failed" in done.stdout
    assert "bad: " in done.stderr
    assert "text page" in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    shutil.copy(folder / "good.svs", folder / "bad.svs")
    assert "1 done, 1 skipped" in gigakit("tile", "slides").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "tiny/slid"), 2, "did you mean 'tiny/slide'"),
        (("train", "tiny/slide", "--set", "model.mask_ration=0.5"), 2, "'mask_ratio'"),
        (("train", "tiny/slide", "--set", "cohort=none.csv"), 2, "no such manifest"),
        (("train", "tiny/slide", "--set", "cohort=none.svs"), 3, "no such file"),
        (("train", "tiny/slide", "--set", "features=nowhere"), 1, "holds no feature files"),
        (("tile", "."), 2, "holds no slides"),
        (("ablate", "tiny/slide", "--attention", "dilatd"), 2, "did you mean 'dilated'"),
        (("ablate", "tiny/slide"), 2, "try --attention"),
        (("sample", "--from", "none.svs"), 1, "no such file"),
        (("train", "tiny/slide", "--resume"), 2, "holds no run to resume"),
    ],
)
def test_bad_input_is_one_line_and_its_own_exit_code(gigakit, tmp_path, arguments, code, message):
    done = gigakit(*arguments, code=code)
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert message in line
    # what never began takes no number of a run
    assert not any(tmp_path.glob("work_dirs/tiny/slide/*"))


def test_a_misspelt_flag_is_refused_with_the_known_ones(gigakit):
    done = gigakit("ablate", "tiny/slide", "--atention", "dilated", code=2)
    assert "--attention" in done.stderr


def test_the_flags_of_ablate_are_the_recipes_axes_in_either_order(gigakit):
    for arguments in (("tiny/slide", "--help"), ("--help", "tiny/slide")):
        assert "--mask-ratio" in gigakit("ablate", *arguments).stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_ablation_goes_on_where_it_was(
    warm_tools, feature_folder, tmp_path, number, code
):
    command = [
        warm_tools / "gigakit", "ablate", "tiny/slide", "--attention", "dilated",
        "--set", f"features={feature_folder}", "--set", "train_cfg.epochs=400",
        "--set", "train_cfg.max_steps=100",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(tmp_path.rglob("scalars.jsonl")):
        time.sleep(0.1)
    process.send_signal(number)
    assert process.wait(timeout=60) == code
    process.stderr.close()
    (checkpoint,) = tmp_path.rglob("last_checkpoint")
    step = int(checkpoint.read_text().split("-")[1].split(".")[0])
    assert 0 < step < 100
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"resumed after step {step}" in done.stderr
    assert "attention=dilated" in done.stdout


def test_doctor_tells_devices_and_backends(gigakit):
    findings = json.loads(gigakit("doctor", "--json").stdout)
    checks = {finding["check"]: finding for finding in findings}
    assert checks["attention flash"]["state"] == "PASS"
    assert "sample slide" in checks
    assert {finding["state"] for finding in findings} <= {"PASS", "WARN"}


def test_a_server_without_libgl_is_told_the_fix(tmp_path):
    (tmp_path / "libGL.so.1").touch()
    done = subprocess.run(
        [sys.executable, "-m", "gigakit", "tile", "x.svs"], cwd=tmp_path,
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode == 3:
        pytest.skip("this OpenCV does not link to libGL")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install --no-deps opencv-python-headless==" in done.stderr


MINE = '''
"""Attention of a user's own."""
from torch import nn
from gigakit.nn.attention.backends import attend
from gigakit.registry import ATTENTIONS


@ATTENTIONS.register_module()
class MineAttention(nn.Module):
    def forward(self, q, k, v, *, key_padding_mask=None):
        return attend(q, k, v, key_padding_mask=key_padding_mask)
'''


def test_a_file_of_the_users_own_adds_a_component(gigakit, repository, feature_folder, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    base = repository / "registry_configs" / "tiny" / "slide.py"
    (tmp_path / "own.py").write_text(
        f"_base_ = ['{base}']\n"
        f"features = '{feature_folder}'\n"
        "custom_imports = dict(imports=['mine.py'])\n"
        "model = dict(encoder=dict(attention=dict(_delete_=True, type='MineAttention')))\n"
        "train_cfg = dict(max_steps=1)\n"
        # the recipe's own section names arguments of dilated attention
        "ablation_sample = dict(_delete_=True)\n"
    )
    gigakit("config", "check", "own.py")
    gigakit("train", "own.py")
    text = (tmp_path / "work_dirs" / "own" / "1" / "config.py").read_text()
    assert "MineAttention" in text
    table = gigakit("ablate", "own.py", "--attention", "MineAttention,flash")
    assert "attention=MineAttention" in table.stdout
