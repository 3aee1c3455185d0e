"""Embedding a cohort's tiles."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest
import torch

from gigakit.core.errors import (
    CheckpointError,
    DamagedRegionError,
    SomeSlidesFailedError,
    StoreError,
    UnreadableSlideError,
)
from gigakit.nn.weights import write_safetensors
from gigakit.registry import BACKBONES, TASKS
from gigakit.tasks.prepared import read_prepared
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.features import read_feature_shape, read_features, write_features
from gigakit.wsi.slide import open_slide
from gigakit.wsi.tiles import TileTable

ENCODER = {
    "type": "VisionTransformer", "image_size": 32, "patch_size": 16, "width": 12, "depth": 1,
    "heads": 2,
}  # fmt: skip
CONFIG = {
    "type": "TileEmbedding",
    "segmenter": {"type": "OtsuSegmenter"},
    "tiler": {"type": "GridTiler"},
    "transform": {"type": "EvaluationTransform", "resize_px": 64, "crop_px": 32},
    "encoder": ENCODER,
    "batch_size": 7,
}


@pytest.fixture
def cohort(tmp_path):
    """Return two slides: one with a textured square, one blank."""
    import cv2

    generator = np.random.default_rng(0)
    image = np.full((1100, 1300, 3), 240, dtype=np.uint8)
    image[256:768, 256:1024] = generator.integers(40, 140, (512, 768, 3))
    rows = []
    for name, pixels in (("a", image), ("blank", np.full_like(image, 240))):
        path = tmp_path / f"{name}.png"
        path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        rows.append(SlideRow(name, path, 0.5))
    return Cohort("c", tuple(rows))


def run(cohort, tmp_path, **changes):
    return TASKS.build({**CONFIG, **changes}).run(cohort, tmp_path / "out")


def test_memory_is_kept_from_batch_to_batch_and_given_back_after_a_slide(
    cohort, tmp_path, monkeypatch
):
    calls = []
    monkeypatch.setattr("gigakit.tasks.inference.keep_freed_blocks", lambda: calls.append("keep"))
    monkeypatch.setattr(
        "gigakit.tasks.tile_model.return_kept_blocks", lambda: calls.append("return")
    )
    run(cohort, tmp_path, batch_size=4)
    # 6 tiles
    assert calls == ["keep", "keep", "return"]


def test_each_tile_gets_the_embedding_of_its_own_pixels(cohort, tmp_path):
    prepared = run(cohort, tmp_path)
    assert prepared.slide_ids == ["a"]
    assert (prepared.lengths, prepared.width) == ([6], 12)
    assert any("1 of 2 slides are left out" in note for note in prepared.notes)
    assert any("untrained" in note for note in prepared.notes)
    stored = read_features(prepared.folder / "a.h5")
    torch.manual_seed(0)
    encoder = BACKBONES.build(ENCODER).eval()
    with open_slide(cohort.slides[0].path, mpp=0.5) as slide:
        for index in (0, 5):
            x, y = stored.coords[index]
            tile = torch.from_numpy(slide.read(0, x, y, 256, 256)).permute(2, 0, 1).float()
            small = torch.nn.functional.interpolate(
                tile[None], size=(64, 64), mode="bicubic", antialias=True
            ).clamp(0, 255)[:, :, 16:48, 16:48]
            mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
            deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
            expected = encoder((small / 255 - mean) / deviation)[0].detach().numpy()
            assert np.abs(stored.features[index] - expected).max() < 5e-3


def test_what_is_done_is_not_done_again(cohort, tmp_path):
    first = run(cohort, tmp_path)
    lines = []
    TASKS.build(CONFIG).run(cohort, tmp_path / "out", announce=lines.append)
    assert not any(line.startswith("a:") for line in lines)
    (first.folder / "a.h5").write_bytes(b"damaged")
    TASKS.build(CONFIG).run(cohort, tmp_path / "out", announce=lines.append)
    assert sum(line.startswith("a:") for line in lines) == 1
    assert len(read_features(first.folder / "a.h5").features) == 6


def test_other_encoders_seeds_and_weights_live_side_by_side(cohort, tmp_path):
    weights = tmp_path / "w.safetensors"
    write_safetensors(BACKBONES.build(ENCODER).state_dict(), weights)
    folders = {
        run(cohort, tmp_path, **changes).folder
        for changes in (
            {},
            {"seed": 1},
            {"weights": str(weights)},
            {"encoder": {**ENCODER, "depth": 2}},
        )
    }
    assert len(folders) == 4
    assert len({path.parent for path in (tmp_path / "out" / "tiles").rglob("a.h5")}) == 1


def test_weights_decide_the_embeddings_not_the_seed(cohort, tmp_path):
    weights = tmp_path / "w.safetensors"
    torch.manual_seed(9)
    write_safetensors(BACKBONES.build(ENCODER).state_dict(), weights)
    one, two = (run(cohort, tmp_path, weights=str(weights), seed=seed) for seed in (0, 1))
    assert one.folder == two.folder
    assert not any("untrained" in note for note in one.notes)
    seeded = run(cohort, tmp_path, seed=9)
    found = [read_features(p.folder / "a.h5").features for p in (one, seeded)]
    assert np.array_equal(*found)


def test_weights_that_do_not_fit_or_exist_are_refused(cohort, tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        run(cohort, tmp_path, weights=str(tmp_path / "none.safetensors"))
    weights = tmp_path / "w.safetensors"
    write_safetensors(BACKBONES.build({**ENCODER, "width": 16}).state_dict(), weights)
    with pytest.raises(CheckpointError, match="misshapen"):
        run(cohort, tmp_path, weights=str(weights))


def test_a_cohort_without_a_usable_slide_is_told(cohort, tmp_path):
    with pytest.raises(SomeSlidesFailedError, match="no slide of the cohort can be used") as caught:
        run(Cohort("c", cohort.slides[1:]), tmp_path)
    assert "holds enough tissue" in str(caught.value)


def test_the_global_generator_is_left_alone(cohort, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(cohort, tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_a_folder_of_several_encoders_is_refused(tmp_path):
    grid = np.zeros((2, 2))
    for name, width in (("a", 4), ("b", 5)):
        table = TileTable.from_grid(name, grid)
        write_features(tmp_path / f"{name}.h5", np.zeros((2, width)), table)
    with pytest.raises(StoreError, match=r"different width: 4 \(a\), 5 \(b\)"):
        read_prepared(tmp_path)
    write_features(
        tmp_path / "b.h5", np.zeros((2, 4)), TileTable.from_grid("b", grid), {"encoder": "other"}
    )
    with pytest.raises(StoreError, match=r"different encoder: None \(a\), other \(b\)"):
        read_prepared(tmp_path)
    assert read_prepared(tmp_path, ["a"]).width == 4
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="holds no feature files"):
        read_prepared(tmp_path / "empty")


def test_precision_decides_folder_and_numbers_and_fp32_keeps_its_digest(cohort, tmp_path):
    full, half = (run(cohort, tmp_path, precision=p) for p in ("fp32", "bf16"))
    assert full.folder == run(cohort, tmp_path).folder != half.folder
    one, two = (read_features(p.folder / "a.h5").features for p in (full, half))
    assert 0 < np.abs(one - two).max() < 0.1


@pytest.mark.parametrize("workers", [0, 2])
def test_a_slide_that_breaks_amid_its_tiles_is_one_failed_slide(
    cohort, tmp_path, monkeypatch, workers
):
    def broken(self, slide, index):
        if index == 3:
            raise UnreadableSlideError("is damaged there", where=slide.path, fix="copy it again")
        return np.zeros((256, 256, 3), dtype=np.uint8)

    monkeypatch.setattr(TileTable, "read", broken)
    task = TASKS.build({**CONFIG, "num_workers": workers, "batch_size": 2})
    _, embedded = task.process(cohort, tmp_path / "out")
    (slide,) = embedded.slides
    assert slide.state == "failed"
    assert slide.reason == f"{cohort.slides[0].path}: is damaged there; copy it again"
    assert [path.name for path in embedded.folder.iterdir() if path.suffix != ".json"] == [
        "status.csv"
    ]


def test_what_no_one_foresaw_is_that_slides_own_error(cohort, tmp_path, monkeypatch):
    def broken(self, slide, index):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(TileTable, "read", broken)
    _, embedded = TASKS.build(CONFIG).process(cohort, tmp_path / "out")
    assert embedded.slides[0].reason.endswith("a.png: cannot be embedded: RuntimeError: two lines")


def test_embeddings_are_written_as_they_come(cohort, tmp_path, monkeypatch):
    from gigakit.wsi.features import FeatureWriter

    sizes = []
    append = FeatureWriter.append
    monkeypatch.setattr(
        FeatureWriter, "append", lambda self, batch: (sizes.append(len(batch)), append(self, batch))
    )
    run(cohort, tmp_path, batch_size=4)
    assert sizes == [4, 2]


def damaged_at(monkeypatch, *indices):
    read = TileTable.read

    def damaged(self, slide, index):
        if index in indices:
            raise DamagedRegionError("is damaged there", where=slide.path)
        return read(self, slide, index)

    monkeypatch.setattr(TileTable, "read", damaged)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_tile_is_marked_and_left_out(cohort, tmp_path, monkeypatch, workers):
    whole = read_features(run(cohort, tmp_path / "whole").folder / "a.h5")
    damaged_at(monkeypatch, 3)
    task = TASKS.build({**CONFIG, "max_bad_share": 0.2, "num_workers": workers, "batch_size": 2})
    _, embedded = task.process(cohort, tmp_path / "out")
    (slide,) = embedded.slides
    assert (slide.state, slide.tiles) == ("done", 5)
    assert slide.reason == "1 of 6 tiles are damaged"
    with h5py.File(embedded.folder / "a.h5") as file:
        assert file["bad"][()].tolist() == [False, False, False, True, False, False]
        assert file["features"].shape == (6, 12)
        assert not file["features"][3].any()
    left = [0, 1, 2, 4, 5]
    found = read_features(embedded.folder / "a.h5")
    np.testing.assert_allclose(found.features, whole.features[left], atol=2e-3)
    np.testing.assert_array_equal(found.grid, whole.grid[left])
    assert read_feature_shape(embedded.folder / "a.h5") == (5, 12)
    _, again = task.process(cohort, tmp_path / "out")
    assert again.slides[0].state == "skipped"


def test_a_slide_with_many_damaged_tiles_fails(cohort, tmp_path, monkeypatch):
    damaged_at(monkeypatch, 3)
    _, embedded = TASKS.build(CONFIG).process(cohort, tmp_path / "out")
    (slide,) = embedded.slides
    assert slide.state == "failed"
    assert "1 of its first tiles are damaged, more than 1.0% of all 6" in slide.reason


def test_a_slide_whose_process_is_killed_goes_on_bit_identically(cohort, tmp_path, monkeypatch):
    undisturbed = run(cohort, tmp_path / "whole", batch_size=2).folder / "a.h5"
    script = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        from gigakit.registry import TASKS
        from gigakit.wsi import partial_features
        from gigakit.wsi.cohort import Cohort, SlideRow

        partial_features.SAVE_SECONDS = -1.0
        append = partial_features.PartialFeatures.append

        def killed(self, features, bad):
            if self.count == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            append(self, features, bad)

        partial_features.PartialFeatures.append = killed
        rows = (SlideRow("a", Path({str(cohort.slides[0].path)!r}), 0.5),)
        TASKS.build({ {**CONFIG, "batch_size": 2}!r}).process(
            Cohort("c", rows), Path({str(tmp_path / "out")!r})
        )
        """
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    read = []
    original = TileTable.read

    def noted(self, slide, index):
        read.append(index)
        return original(self, slide, index)

    monkeypatch.setattr(TileTable, "read", noted)
    _, embedded = TASKS.build({**CONFIG, "batch_size": 2}).process(cohort, tmp_path / "out")
    assert read == [4, 5]
    assert undisturbed.read_bytes() == (embedded.folder / "a.h5").read_bytes()
    assert not (embedded.folder / ".partial").exists()
