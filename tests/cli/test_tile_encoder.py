"""From a run of the tile recipe to its encoder: exported, probed, and embedding slides."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from tasks.probes import drawn

from gigakit.core.errors import CheckpointError
from gigakit.data.augmentations.evaluation_transform import EvaluationTransform
from gigakit.engine.checkpoint import find_resume, load_checkpoint
from gigakit.nn.weights import read_weights
from gigakit.registry import BACKBONES, TASKS
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.features import read_features
from gigakit.wsi.slide import open_slide

ENCODER = {
    "type": "VisionTransformer", "image_size": 32, "patch_size": 8, "width": 16, "depth": 1,
    "heads": 2, "layer_scale": 1e-5,
}  # fmt: skip
SETTINGS = (
    *(f"model.encoder.{key}={value}" for key, value in ENCODER.items() if key != "type"),
    "train_dataloader.dataset.views.global_px=32",
    "train_dataloader.dataset.views.local_px=16",
    "optim_wrapper.optimizer.lr=0.01",
    "train_cfg.max_steps=4",
    "custom_hooks=[]",
    "tiles=tiles",
)


@pytest.fixture
def run(call, tmp_path, monkeypatch):
    """Return the folder of a short run; the current one holds its tiles and their table."""
    monkeypatch.chdir(tmp_path)
    drawn.write_folder(tmp_path / "tiles")
    drawn.write_table(tmp_path / "labels.csv")
    sets = [word for change in SETTINGS for word in ("--set", change)]
    code, _, told = call("train", "tiny/tile", *sets, "--work-dir", "run")
    assert code == 0, told
    return tmp_path / "run"


@pytest.fixture
def exported(call, run):
    """Return the file of the teacher's encoder."""
    code, _, told = call("export", str(run), "--part", "teacher.encoder")
    assert code == 0, told
    return run / "step-00000004-teacher.encoder.safetensors"


def teacher_of(run):
    state = load_checkpoint(find_resume(run))["state_dict"]
    prefix = "teacher.encoder."
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def test_a_run_and_its_exports_are_one_encoder_to_the_probe(call, run, exported):
    stored = read_weights(exported)
    assert "mask_token" in stored
    assert {k: v.tolist() for k, v in stored.items()} == {
        k: v.tolist() for k, v in teacher_of(run).items()
    }
    data = ("probe", "tiles", "--table", "labels.csv", "--json")
    code, out, told = call(*data, "--encoder", str(run), "--encoder", "untrained")
    assert code == 0, told
    of_run, untrained = json.loads(out)["encoders"]
    code, out, told = call(*data, "--weights", str(exported))
    assert code == 0, told
    (of_export,) = json.loads(out)["encoders"]
    assert of_export["width"] == ENCODER["width"]
    assert of_export["linear"] == of_run["linear"]
    assert of_export["knn"] == of_run["knn"]
    assert of_export["health"] == of_run["health"] != untrained["health"]


@pytest.fixture
def cohort(tmp_path):
    """Return a slide with 2 x 2 tiles of tissue."""
    image = np.full((1024, 1024, 3), 240, dtype=np.uint8)
    image[256:768, 256:768] = np.random.default_rng(0).integers(40, 140, (512, 512, 3))
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return Cohort("c", (SlideRow("a", tmp_path / "a.png", 0.5),))


def embedding(weights, crop_px=32, **encoder):
    return TASKS.build(
        {
            "type": "TileEmbedding",
            "segmenter": {"type": "OtsuSegmenter"},
            "tiler": {"type": "GridTiler"},
            "transform": {"type": "EvaluationTransform", "resize_px": 64, "crop_px": crop_px},
            "encoder": {**ENCODER, **encoder},
            "weights": str(weights),
        }
    )


@pytest.mark.parametrize("crop_px", [32, 56])
def test_it_embeds_slides_at_crops_of_any_size(run, exported, cohort, tmp_path, crop_px):
    """Its config tells the size of training; positions are interpolated to the crop's."""
    prepared = embedding(exported, crop_px).run(cohort, tmp_path / "out")
    assert (prepared.lengths, prepared.width) == ([4], 16)
    assert not any("untrained" in note for note in prepared.notes)
    stored = read_features(prepared.folder / "a.h5")
    encoder = BACKBONES.build({**ENCODER, "maskable": True}).eval()
    encoder.load_state_dict(teacher_of(run))
    transform = EvaluationTransform(resize_px=64, crop_px=crop_px)
    with open_slide(cohort.slides[0].path, mpp=0.5) as slide:
        for place, feature in zip(stored.coords, stored.features, strict=True):
            x, y = (int(value) for value in place)
            pixels = slide.read(0, x, y, 256, 256)
            with torch.no_grad():
                expected = encoder(transform(pixels)[None])[0]
            found = torch.from_numpy(np.asarray(feature)).float()
            torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-3)


def test_a_slide_recipe_takes_it(call, exported, cohort, tmp_path):
    (tmp_path / "slides.csv").write_text(f"slide_id,path,mpp\na,{cohort.slides[0].path},0.5\n")
    encoder = ", ".join(f"{key}={value!r}" for key, value in ENCODER.items())
    changes = (
        "cohort=slides.csv", f"preparation.weights={exported}", "train_cfg.max_steps=1",
        f"preparation.encoder=dict(_delete_=True, {encoder})",
        "preparation.transform.resize_px=64", "preparation.transform.crop_px=32",
    )  # fmt: skip
    sets = [word for change in changes for word in ("--set", change)]
    code, _, told = call("train", "tiny/slide", *sets, "--work-dir", "slides")
    assert code == 0, told
    assert "untrained" not in told
    assert load_checkpoint(find_resume(tmp_path / "slides"))["meta"]["iter"] == 1


def test_another_size_of_training_is_told_before_slides_are_read(exported, cohort, tmp_path):
    with pytest.raises(CheckpointError, match=r"pos_embed \(1, 17, 16\) instead of") as caught:
        embedding(exported, image_size=56).run(cohort, tmp_path / "out")
    assert "image_size" in str(caught.value)
    assert not list(tmp_path.glob("out/**/*.h5"))
