"""README's commands, as they stand there; the ones that others run are named."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

# blocks of commands have no language; outputs are marked text
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
RUN_BY_CI = ("python3 -m venv", "gigakit ablate --attention dilated,flash", "source ")
# integration/test_launchers.py
RUN_ELSEWHERE = ("torchrun --nproc-per-node 2 tools/train.py tiny/slide",)
# what makes a command small enough for a test
SMALLER = {
    "gigakit train gigapath_slide --dry-run": (),
    "gigakit train gigapath_tile": (
        "--set", "train_cfg.max_steps=1", "--set", "model.encoder.depth=1",
    ),
    "gigakit train": (
        "--set", "train_cfg.max_steps=1", "--set", "model.encoder.depth=1",
        "--set", "model.decoder.depth=1",
    ),
    "gigakit ablate": ("--probe-steps", "1"),
    "tensorboard": ("--inspect",),
}  # fmt: skip


def commands(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    blocks = [block for language, block in BLOCK.findall(text) if not language]
    lines = [line for block in blocks for line in block.splitlines() if line]
    return [line for line in lines if not line.startswith(RUN_BY_CI + RUN_ELSEWHERE)]


def write_labelled_tiles(folder):
    """Write ``tiles.zip`` and ``labels.csv``: two classes of noise, of eight cases each."""
    generator = np.random.default_rng(0)
    rows = ["tile,label,case"]
    with zipfile.ZipFile(folder / "tiles.zip", "w") as tiles:
        for number in range(16):
            pixels = generator.integers(0, 128 + 127 * (number % 2), (224, 224, 3), dtype=np.uint8)
            tiles.writestr(f"{number}.png", cv2.imencode(".png", pixels)[1].tobytes())
            rows.append(f"{number}.png,{number % 2},{number}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")


def test_every_command_runs_as_it_stands(repository, shared, warm_tools, tmp_path):
    found = commands(repository)
    assert len(found) >= 15
    slide = shared / "data" / "slides" / "cmu-1-small-region.svs"
    shutil.copy(slide, tmp_path / "one.svs")
    (tmp_path / "slides.csv").write_text("slide_id,path\na,one.svs\n")
    write_labelled_tiles(tmp_path)
    (tmp_path / "tools").symlink_to(repository / "tools")
    tools = Path(sys.executable).parent
    paths = [str(warm_tools), str(tools), os.environ["PATH"]]
    environment = {**os.environ, "PATH": os.pathsep.join(paths)}
    # what TensorBoard shows comes first there, but needs a run
    for command in sorted(found, key=lambda line: line.startswith("tensorboard")):
        more = next((s for begin, s in SMALLER.items() if command.startswith(begin)), ())
        done = subprocess.run(
            [*shlex.split(command), *more],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"
        if command.startswith("tensorboard"):
            assert "train/loss" in done.stdout


def test_the_commands_that_ci_runs_are_in_both(repository):
    script = (repository / ".ci" / "run").read_text(encoding="utf-8")
    readme = (repository / "README.md").read_text(encoding="utf-8")
    wanted = re.findall(r"readme_command '([^']+)'", script)
    assert len(wanted) == 3
    for text in wanted:
        assert re.search(f"^.*{re.escape(text)}.*$", readme, re.MULTILINE), text


@pytest.mark.parametrize(
    "target", ["docs/pictures/overview.jpg", "docs/pictures/reconstruction.png"]
)
def test_its_pictures_are_there(repository, target):
    assert target in (repository / "README.md").read_text(encoding="utf-8")
    assert (repository / target).stat().st_size > 1000
