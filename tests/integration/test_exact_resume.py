"""The masked autoencoder's run, killed and resumed, against the run left alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import torch

STEPS = 40


def command(folder, features, *more):
    return [
        sys.executable, "-m", "gigakit", "train", "tiny/slide", "--work-dir", str(folder),
        "--set", f"features={features}", "--set", "train_cfg.epochs=100",
        "--set", f"train_cfg.max_steps={STEPS}", "--set", "model.encoder.dropout=0.2",
        "--set", "model.encoder.drop_path=0.2",
        "--set", "default_hooks.checkpoint.interval_steps=3",
        *more,
    ]  # fmt: skip


def final(folder):
    path = folder / "checkpoints" / f"step-{STEPS:08d}.pth"
    return torch.load(path, map_location="cpu", weights_only=True)


def scalars(folder):
    lines = (folder / "scalars.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [{k: v for k, v in row.items() if not k.startswith("perf/")} for row in rows]


def equal(one, two):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(equal, one, two))
    return one == two


def test_killed_with_no_warning_and_resumed_with_workers_it_ends_the_same(feature_folder, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole, feature_folder), check=True, capture_output=True)
    process = subprocess.Popen(command(killed, feature_folder), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(killed.glob("checkpoints/step-*.pth")):
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (killed / "result.json").exists()
    more = ("--resume", "--set", "train_dataloader.num_workers=2")
    resumed = subprocess.run(
        command(killed, feature_folder, *more), check=True, capture_output=True, text=True
    )
    assert "resumed after step" in resumed.stderr
    one, two = final(whole), final(killed)
    for part in ("state_dict", "optimizer", "param_schedulers"):
        assert equal(one[part], two[part]), part
    assert scalars(whole) == scalars(killed)
