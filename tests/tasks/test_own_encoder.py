"""Encoders that ship inside the package: found by name, checked, spoken of truthfully."""

from __future__ import annotations

import functools
import json
import runpy
import sys

import cv2
import numpy as np
import pytest
import torch

from gigakit.core import assets
from gigakit.core.errors import CheckpointError, ConfigError
from gigakit.core.files import file_sha256
from gigakit.nn.weights import load_encoder, read_weights, write_safetensors
from gigakit.registry import AUGMENTATIONS, BACKBONES, TASKS
from gigakit.tasks.own_encoder import read_own_encoder, write_own_encoder
from gigakit.wsi.cohort import Cohort, SlideRow

ENCODER = {
    "type": "VisionTransformer", "image_size": 32, "patch_size": 16, "width": 12, "depth": 1,
    "heads": 2,
}  # fmt: skip
TRANSFORM = {"type": "EvaluationTransform", "resize_px": 36, "crop_px": 32}
MOST_MB = 12


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Put a small random encoder where gigakit's own are looked for."""
    folder = tmp_path / "assets"
    folder.mkdir()
    monkeypatch.setattr(assets, "FOLDER", folder)
    torch.manual_seed(0)
    built = BACKBONES.build({**ENCODER, "maskable": True})
    path = folder / "small.safetensors"
    write_own_encoder(
        built.state_dict(), path, encoder=ENCODER, transform=TRANSFORM,
        trained_on="9 tiles of noise", licence="Apache-2.0",
    )  # fmt: skip
    assets.card_of(path).write_text("# small: made of noise\n\nNot for use.\n")
    return path, built


def embedding(**changes):
    return TASKS.build(
        {
            "type": "TileEmbedding",
            "segmenter": {"type": "OtsuSegmenter"},
            "tiler": {"type": "GridTiler"},
            "encoder": ENCODER,
            "transform": TRANSFORM,
            "weights": "small",
            **changes,
        }
    )


def complaints(path):
    """Say what an own encoder's file lacks."""
    own = read_own_encoder(path)
    found = []
    if path.stat().st_size > MOST_MB * 1e6:
        found.append("size")
    if any(tensor.dtype != torch.float16 for tensor in read_weights(path).values()):
        found.append("precision")
    card = assets.card_of(path)
    if not card.is_file() or not card.read_text().startswith(f"# {path.stem}"):
        found.append("card")
    elif "TO BE WRITTEN" in card.read_text():
        found.append("card's text")
    load_encoder(functools.partial(BACKBONES.build, own.encoder), path)
    if own.transform["crop_px"] != own.encoder["image_size"]:
        found.append("crop")
    return found


@pytest.mark.parametrize("path", [pytest.param(p, id=n) for n, p in assets.own_encoders().items()])
def test_what_ships_is_whole(path):
    assert complaints(path) == []


def test_an_incomplete_one_is_noticed(shipped):
    path, built = shipped
    assert complaints(path) == []
    assets.card_of(path).write_text("# small: TO BE WRITTEN\n")
    assert complaints(path) == ["card's text"]
    assets.card_of(path).unlink()
    write_own_encoder(
        built.state_dict(), path, encoder=ENCODER, transform={**TRANSFORM, "crop_px": 48},
        trained_on="", licence="",
    )  # fmt: skip
    assert complaints(path) == ["card", "crop"]


def test_half_precision_becomes_float32_and_nothing_else_changes(shipped):
    path, built = shipped
    encoder = load_encoder(functools.partial(BACKBONES.build, ENCODER), path)
    for name, tensor in encoder.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, built.state_dict()[name].half().float())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), built(images), rtol=0, atol=5e-3)


def test_names_paths_and_neither(shipped, tmp_path, monkeypatch):
    path, _ = shipped
    monkeypatch.chdir(tmp_path)
    assert assets.find_weights("small") == path
    assert assets.find_weights("elsewhere/small.pth").as_posix() == "elsewhere/small.pth"
    (tmp_path / "small").write_text("the user's own file wins")
    assert assets.find_weights("small").read_text().startswith("the user's")
    with pytest.raises(CheckpointError, match="give a file's path, or one of: small"):
        embedding(weights="tall")


def test_a_run_is_told_what_it_is_and_its_stores_know_the_file(shipped, tmp_path):
    path, _ = shipped
    pixels = np.full((700, 700, 3), 240, dtype=np.uint8)
    pixels[128:640, 128:640] = np.random.default_rng(0).integers(40, 140, (512, 512, 3))
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    task = embedding()
    prepared = task.run(Cohort("c", (SlideRow("a", tmp_path / "a.png", 0.5),)), tmp_path / "out")
    (note,) = [note for note in prepared.notes if "tile encoder" in note]
    assert note == (
        "the tile encoder is gigakit's own small one (small), trained on 9 tiles of noise; "
        "not a pathology foundation model"
    )
    settings = json.loads((prepared.folder / "settings.json").read_text())
    assert settings["weights_sha256"] == file_sha256(path)
    assert settings["seed"] is None
    assert prepared.folder.name.startswith("VisionTransformer-small-")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"encoder": {**ENCODER, "heads": 3}}, r"preparation\.encoder: .* give heads=2"),
        ({"encoder": {k: v for k, v in ENCODER.items() if k != "heads"}}, "give heads=2"),
        ({"transform": {**TRANSFORM, "crop_px": 16}}, r"preparation\.transform: .*crop_px=32"),
    ],
)
def test_what_its_weights_were_not_made_for_is_refused(shipped, changes, told):
    with pytest.raises(ConfigError, match=told):
        embedding(**changes)


def test_other_files_are_not_gigakits_own(shipped, tmp_path):
    path, built = shipped
    other = tmp_path / "small.safetensors"
    write_safetensors(built.state_dict(), other)
    assert read_own_encoder(other) is None
    write_safetensors(built.state_dict(), path)
    with pytest.raises(CheckpointError, match="is damaged: 'encoder'; install gigakit again"):
        read_own_encoder(path)


def test_it_is_listed_with_its_card(shipped, monkeypatch, capsys):
    from gigakit.cli.list import list_components

    list_components("encoder")
    out = capsys.readouterr().out
    assert "small: made of noise" in out
    assert "gigapath" in out
    list_components("encoder", "small")
    assert "Not for use." in capsys.readouterr().out


def test_a_probe_takes_it_by_name(shipped):
    from gigakit.cli.probe_encoders import choose_encoders

    (choice,) = choose_encoders(["small"], [])
    assert choice.config == ENCODER
    assert choice.read()["cls_token"].dtype == torch.float16


def test_the_tool_makes_the_file_and_a_card(shipped, tmp_path, monkeypatch, repository, capsys):
    path, _ = shipped
    monkeypatch.setattr(
        sys, "argv",
        ["ship_encoder", str(path), "--name", "second", "--resize-px", "36", "--crop-px", "32",
         "--trained-on", "nothing"],
    )  # fmt: skip
    runpy.run_path(str(repository / "tools/ship_encoder.py"), run_name="__main__")
    second = assets.own_encoders()["second"]
    assert complaints(second) == ["card's text"]
    assert read_own_encoder(second).encoder == ENCODER
    assert "fill it in" in capsys.readouterr().out


def test_the_tool_resizes_positions_as_larger_crops_would(shipped, monkeypatch, repository, capsys):
    path, built = shipped
    monkeypatch.setattr(
        sys, "argv",
        ["ship_encoder", str(path), "--name", "third", "--resize-px", "64", "--crop-px", "64",
         "--trained-on", "nothing"],
    )  # fmt: skip
    runpy.run_path(str(repository / "tools/ship_encoder.py"), run_name="__main__")
    third = assets.own_encoders()["third"]
    own = read_own_encoder(third)
    assert own.encoder == {**ENCODER, "image_size": 64}
    encoder = load_encoder(functools.partial(BACKBONES.build, own.encoder), third)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), built(images), rtol=0, atol=5e-3)
    assert "0.0 MB" in capsys.readouterr().out


def test_the_tool_standardises_vectors_of_tiles(
    shipped, tmp_path, monkeypatch, repository, encoded
):
    path, built = shipped
    generator = np.random.default_rng(0)
    tiles = [generator.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(6)]
    (tmp_path / "tiles").mkdir()
    for number, tile in enumerate(tiles):
        (tmp_path / "tiles" / f"{number}.png").write_bytes(encoded(tile))
    monkeypatch.setattr(
        sys, "argv",
        ["ship_encoder", str(path), "--name", "fourth", "--resize-px", "32", "--crop-px", "32",
         "--trained-on", "nothing", "--standardise", str(tmp_path / "tiles")],
    )  # fmt: skip
    runpy.run_path(str(repository / "tools/ship_encoder.py"), run_name="__main__")
    fourth = assets.own_encoders()["fourth"]
    encoder = load_encoder(functools.partial(BACKBONES.build, ENCODER), fourth)
    transform = AUGMENTATIONS.build({"type": "EvaluationTransform", "resize_px": 32, "crop_px": 32})
    images = torch.stack([transform(tile) for tile in tiles])
    with torch.no_grad():
        before, after = built(images), encoder(images)
    expected = (before - before.mean(dim=0)) / before.std(dim=0)
    torch.testing.assert_close(after, expected, rtol=0, atol=0.05)
