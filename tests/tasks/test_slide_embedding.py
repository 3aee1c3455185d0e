"""Slide embeddings from feature files against arrays of the published code."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from gigakit.core.errors import CheckpointError, ConfigError
from gigakit.data.feature_folder import FeatureFolder
from gigakit.nn.backbones.longnet import derive_segment_lengths
from gigakit.registry import TASKS


def task(case, weights):
    segments = derive_segment_lengths(case["max_wsi_size"], case["tile_size"])
    encoder = {
        "type": "LongNet", "input_dim": case["in_chans"], "width": case["embed_dim"],
        "depth": case["depth"], "heads": case["heads"],
        "mlp_ratio": case["ffn_dim"] / case["embed_dim"],
        "attention": {
            "type": "DilatedAttention", "segment_lengths": segments,
            "dilation_ratios": case["dilated_ratio"],
        },
        "position": {"type": "GridSinCos2d", "quantize": True},
    }  # fmt: skip
    return TASKS.build(
        {"type": "SlideEmbedding", "encoder": encoder, "weights": weights and str(weights)}
    )


def write_slides(folder, case, arrays):
    """Write each slide of the reference inputs as a feature file without a word on its unit."""
    folder.mkdir()
    for i, given in enumerate(case["inputs"]):
        for row in range(given["B"]):
            with h5py.File(folder / f"{i}-{row}.h5", "w") as file:
                file["features"] = arrays[f"in{i}.x"][row]
                file["coords"] = arrays[f"in{i}.coords"][row].astype(np.float64)
    return FeatureFolder(folder, step=case["tile_size"])


@pytest.mark.parametrize("name", ["tiny_short", "tiny_two_segments", "tiny_misaligned"])
def test_published_embeddings_of_every_layer(shared, tmp_path, name):
    reference = shared / "reference" / "slide_encoder"
    case = json.loads((reference / "encoder_tiny.json").read_text())[name]
    arrays = np.load(reference / f"encoder_{name}.npz")
    features = write_slides(tmp_path / "features", case, arrays)
    weights = reference / f"encoder_{name}.weights.safetensors"
    result = task(case, weights).process(features, tmp_path / "out")
    assert result.counts["done"] == len(features.files)
    published = {"cls": "cls_all_layers", "mean": "pool_all_layers"}
    published |= {"last_cls": "cls_last", "last_mean": "pool_last"}
    for i, given in enumerate(case["inputs"]):
        for row in range(given["B"]):
            with h5py.File(result.folder / f"{i}-{row}.h5") as file:
                for ours, theirs in published.items():
                    expected = arrays[f"in{i}.{theirs}"][..., row, :]
                    assert np.abs(file[ours][()] - expected).max() < 2e-5, (ours, i)


def test_what_is_missing_is_told_at_once(shared, tmp_path):
    reference = shared / "reference" / "slide_encoder"
    case = json.loads((reference / "encoder_tiny.json").read_text())["tiny_short"]
    features = write_slides(
        tmp_path / "features", case, np.load(reference / "encoder_tiny_short.npz")
    )
    with pytest.raises(CheckpointError, match="no such file"):
        task(case, tmp_path / "none.pth").process(features, tmp_path / "out")
    with pytest.raises(ConfigError, match="add --weights"):
        task(case, None).process(features, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"slide_embedding\.encoder\.input_dim"):
        TASKS.build({"type": "SlideEmbedding", "encoder": {"type": "LongNet"}})


def test_embeddings_that_overflow_are_that_slides_failure(shared, tmp_path):
    reference = shared / "reference" / "slide_encoder"
    case = json.loads((reference / "encoder_tiny.json").read_text())["tiny_short"]
    features = write_slides(
        tmp_path / "features", case, np.load(reference / "encoder_tiny_short.npz")
    )
    with h5py.File(features.files["0-0"], "a") as file:
        file["features"][...] = 1e38
    weights = reference / "encoder_tiny_short.weights.safetensors"
    result = task(case, weights).process(features, tmp_path / "out")
    assert result.counts == {"done": 3, "skipped": 0, "empty": 0, "failed": 1}
    assert "is not finite" in result.slides[0].reason
