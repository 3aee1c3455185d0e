"""The score of a preparation's tile encoder: what TileProbe says of its embeddings, once."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.registry import AUGMENTATIONS, BACKBONES
from gigakit.tasks.probes import prepared_encoder
from gigakit.tasks.probes.prepared_encoder import score_tile_encoder
from gigakit.tasks.probes.tile_collection import read_collection

ENCODER = {
    "type": "VisionTransformer", "image_size": 32, "patch_size": 16, "width": 16, "depth": 1,
    "heads": 2,
}  # fmt: skip
TRANSFORM = {"type": "EvaluationTransform", "resize_px": 40, "crop_px": 32}
SEGMENTER = {"type": "OtsuSegmenter"}
GRID = {"type": "GridTiler"}


def preparation(**changes):
    return {
        "type": "TileEmbedding", "segmenter": SEGMENTER,
        "tiler": GRID, "encoder": ENCODER, "transform": TRANSFORM, "seed": 3,
        "device": "cpu", **changes,
    }  # fmt: skip


@pytest.fixture
def labelled(labelled_tiles):
    return {"root": str(labelled_tiles), "table": str(labelled_tiles / "labels.csv")}


def embedded(labelled_tiles):
    """Embed each tile by hand: read, transform, forward."""
    torch.manual_seed(3)
    encoder = BACKBONES.build(dict(ENCODER)).eval()
    transform = AUGMENTATIONS.build(dict(TRANSFORM))
    tiles = read_collection(labelled_tiles, table=labelled_tiles / "labels.csv")
    rows = []
    for name in tiles.names:
        pixels = cv2.cvtColor(cv2.imread(str(labelled_tiles / name)), cv2.COLOR_BGR2RGB)
        with torch.no_grad():
            rows.append(encoder(transform(pixels)[None])[0].numpy())
    return np.stack(rows), tiles


def test_the_score_is_that_of_the_encoder_on_the_val_tiles(labelled, labelled_tiles, tmp_path):
    sklearn = pytest.importorskip("sklearn.linear_model")
    found = score_tile_encoder(preparation(), labelled, tmp_path, print)
    features, tiles = embedded(labelled_tiles)
    train, val = tiles.splits == "train", tiles.splits == "val"
    mean, deviation = features[train].mean(axis=0), features[train].std(axis=0)
    scaled = (features - mean) / np.where(deviation > 0, deviation, 1)
    fit = sklearn.LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000)
    predicted = fit.fit(scaled[train], tiles.labels[train]).predict(scaled[val])
    true = tiles.labels[val]
    recalls = [(predicted[true == c] == c).mean() for c in np.unique(true)]
    assert found["tile_encoder/linear_balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert {"tile_encoder/knn_balanced_accuracy", "tile_encoder/linear_macro_auroc"} <= set(found)


def test_an_encoder_is_asked_once_whatever_the_tiling(labelled, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    asked = []
    embed = prepared_encoder.embed_collection

    def counted(*args, **kwargs):
        asked.append(args)
        return embed(*args, **kwargs)

    monkeypatch.setattr(prepared_encoder, "embed_collection", counted)
    first = score_tile_encoder(preparation(), labelled, tmp_path, print)
    other_tiles = preparation(tiler=GRID | {"overlap": 0.5}, quality_limits={})
    assert score_tile_encoder(other_tiles, labelled, tmp_path, print) == first
    assert len(asked) == 1
    score_tile_encoder(preparation(seed=4), labelled, tmp_path, print)
    assert len(asked) == 2
    assert len(list((tmp_path / "probes").iterdir())) == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"table": "x.csv"}, "give dict"),
        ({"root": "/nowhere"}, "no such file or folder: /nowhere"),
    ],
)
def test_tiles_that_are_not_there_are_one_error(given, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        score_tile_encoder(preparation(), given, tmp_path, print)


def test_a_preparation_without_an_encoder_is_refused(labelled, tmp_path):
    pytest.importorskip("sklearn")
    tiling = {"type": "SlideTiling", "segmenter": SEGMENTER}
    with pytest.raises(ConfigError, match="no tile encoder to score"):
        score_tile_encoder({**tiling, "tiler": GRID}, labelled, tmp_path, print)
