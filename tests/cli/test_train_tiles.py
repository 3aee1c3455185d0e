"""``gigakit train tiny/tile`` on folders of tiles: odd ones, damaged ones, and wrong usage."""

from __future__ import annotations

import io
import json

import cv2
import numpy as np
import pytest
from PIL import Image
from tasks.probes import drawn

SIDE = 48
SMALL = (
    "model.encoder.width=16",
    "model.encoder.depth=1",
    "train_cfg.max_steps=2",
    "train_dataloader.dataset.views.global_px=32",
    "train_dataloader.dataset.views.local_px=16",
    "custom_hooks=[]",
)


@pytest.fixture
def train(call, tmp_path, monkeypatch):
    """Return a function that trains in an empty folder: exit code, and the lines told."""
    monkeypatch.chdir(tmp_path)

    def run(*changes, recipe="tiny/tile", options=()):
        sets = [word for change in (*SMALL, *changes) for word in ("--set", change)]
        code, _, told = call("train", recipe, *sets, "--work-dir", "run", *options)
        return code, told.splitlines()

    return run


@pytest.fixture
def tiles(tmp_path):
    """Write a folder of twelve tiles and its table."""
    rows = drawn.rows(cases=12, tiles=1)
    drawn.write_table(tmp_path / "labels.csv", rows)
    return drawn.write_folder(tmp_path / "tiles", SIDE, rows)


def picture(kind):
    """Return an encoded tile of an unusual kind."""
    rgb = drawn.draw(1, 5, SIDE)
    if kind == "cmyk":
        stream = io.BytesIO()
        Image.fromarray(rgb).convert("CMYK").save(stream, "JPEG")
        return stream.getvalue()
    shades = {
        "grey": rgb[..., 0],
        "16 bit": rgb.astype(np.uint16) * 257,
        "grey 16 bit": rgb[..., 0].astype(np.uint16) * 257,
        "rgba": np.dstack([rgb, np.full((SIDE, SIDE), 200, np.uint8)]),
    }
    return cv2.imencode(".png", shades[kind])[1].tobytes()


def test_a_folder_of_tiles_trains(train, tiles, tmp_path):
    code, told = train("tiles=tiles")
    assert code == 0, told
    assert not [line for line in told if line.startswith(("warning", "error"))]
    assert json.loads((tmp_path / "run" / "result.json").read_text())["steps"] == 2


def test_unusual_pictures_are_tiles_too(train, tiles):
    for number, kind in enumerate(("grey", "cmyk", "16 bit", "grey 16 bit", "rgba")):
        (tiles / f"{number}.png").write_bytes(picture(kind))
    # every tile of an epoch in one step
    code, told = train("tiles=tiles", "train_dataloader.batch_size=17")
    assert code == 0, told
    assert not [line for line in told if line.startswith("warning")]


def test_unreadable_tiles_below_the_share_are_told_once_each(train, tiles):
    (tiles / "bad.png").write_bytes(b"half of a tile")
    code, told = train(
        "tiles=tiles",
        "train_dataloader.dataset.max_unreadable_share=0.1",
        "train_dataloader.batch_size=13",
    )
    assert code == 0, told
    lines = [line for line in told if "bad.png" in line]
    assert len(lines) == 1
    assert lines[0].startswith("warning: ")
    assert "other tiles take its place" in lines[0]


def test_tiles_smaller_than_a_view_are_enlarged_and_told_once(train, tiles):
    code, told = train("tiles=tiles", "train_dataloader.dataset.views.global_px=64")
    assert code == 0, told
    lines = [line for line in told if "enlarged" in line]
    assert len(lines) == 1
    assert "has 48 x 48 px; views of 64 px are enlarged" in lines[0]


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        (("tiles=empty",), 2, "empty: holds no tiles"),
        (("tiles=nowhere",), 2, "nowhere: no such file or folder of tiles"),
        (("tiles=labels.csv",), 2, "labels.csv: holds no tiles"),
        (("tiles=damaged",), 1, "damaged: 1 of 12 tiles cannot be read"),
        (("tiles=tiny",), 1, "has 24 x 24 px, under 32 px"),
        (("tiles=dict(root='tiles', table_='labels.csv')",), 2, "did you mean 'table'"),
        (("tiles=dict(table='labels.csv')",), 2, "tiles: got {'table': 'labels.csv'}; give a path"),
        (("tiles=3",), 2, "tiles: got 3; give a path"),
        (("tiles=dict(root='tiles', table='none.csv')",), 2, "none.csv"),
        (("tiles=dict(root='tiles', table='labels.csv', split='trian')",), 2,
         "labels.csv: has no split 'trian', only test, train, val"),
        (("tiles=dict(root='tiles', split='train')",), 2, "TileImages.split"),
        (("tiles=tiles", "labelled=dict(root='tiles')"), 2, "LabelledTiles.table"),
        (("tiles=tiles", "labelled=dict(root='tiles', table_='labels.csv')"), 2,
         "did you mean 'table'"),
        (("tiles=tiles", "labelled=dict(root='tiles', table='labels.csv', split='test')"), 2,
         "TileProbe: no tile is in split 'train' or 'val'"),
        (("tiles=tiles", "train_dataloader.batch_size=1"), 2,
         "train_dataloader.batch_size: a loss compares 2 tiles or more, a batch has 1"),
        (("tiles=tiles", "train_dataloader.collate_fn.masking=None"), 2,
         "train_dataloader.collate_fn.masking: a loss of masked patches needs masks"),
        (("tiles=tiles", "train_dataloader.dataset.views.global_px=40"), 2, "40"),
        (("tiles=tiles", "train_dataloader.dataset.views.global_count=3"), 2, "got 3 global crops"),
        (("tiles=tiles", "cohort=None", "model.losses=[]"), 2, "model.losses: there is no loss"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(train, tiles, tmp_path, changes, code, message):
    (tmp_path / "empty").mkdir()
    rows = drawn.rows(cases=12, tiles=1)
    for damaged in drawn.write_folder(tmp_path / "damaged", SIDE, rows).rglob("*.png"):
        damaged.write_bytes(b"half of a tile")
    drawn.write_folder(tmp_path / "tiny", 24, rows)
    found, told = train(*changes)
    errors = [line for line in told if line.startswith("error: ")]
    assert (found, len(errors)) == (code, 1), told
    assert told[-1] == errors[0]
    assert message in errors[0]


def test_weights_of_another_architecture_are_told_by_tensor(train, tiles, tmp_path):
    assert train("tiles=tiles")[0] == 0
    (weights,) = (tmp_path / "run").rglob("step-*.pth")
    weights.rename(tmp_path / "weights.pth")
    options = ("--init-from", "weights.pth", "--overwrite")
    code, told = train("tiles=tiles", "model.encoder.width=32", options=options)
    assert code == 1
    assert told[-1].startswith("error: weights.pth: fits too little of the model: ")
    assert "of another shape" in told[-1]
    assert "student.encoder" in told[-1]
    code, told = train("tiles=tiles", options=options)
    assert code == 0, told
