"""``gigakit embeddings``: export, nearest, projector."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from gigakit.wsi.features import write_features
from gigakit.wsi.tiles import TileTable


@pytest.fixture
def features(tmp_path):
    """Return a folder of tile features of three slides; the first two are alike."""
    folder = tmp_path / "features" / "enc"
    for name, value in {"a": [1, 0], "b": [2, 0.1], "c": [0, 1]}.items():
        tiles = np.tile(np.array(value, np.float32), (3, 1))
        grid = np.stack([np.arange(3.0), np.zeros(3)], axis=1)
        write_features(folder / f"{name}.h5", tiles, TileTable.from_grid(name, grid))
    (tmp_path / "labels.csv").write_text("slide_id,type\na,X\nb,X\nc,Y\n")
    return folder


def test_nearest_as_a_table_as_json_and_as_a_sheet(call, features, tmp_path):
    labels = f"--labels={tmp_path / 'labels.csv'}"
    code, out, err = call("embeddings", "nearest", str(features), "a", "--count=1", labels)
    assert code == 0, err
    assert "0.9988" in out
    sheet = tmp_path / "sheet.jpg"
    code, out, err = call(
        "embeddings", "nearest", str(features), "a", "c", labels, "--json", f"--out={sheet}"
    )
    assert code == 0, err
    told = json.loads(out)
    assert told["source"] == "mean of tile embeddings"
    assert [one["slide_id"] for one in told["slides"][0]["nearest"]] == ["b", "c"]
    assert told["slides"][1] == {
        "slide_id": "c", "type": "Y", "nearest": told["slides"][1]["nearest"],
    }  # fmt: skip
    # two rows of a slide and its two neighbours
    assert cv2.imread(str(sheet)).shape == (2 * (224 + 48 + 8) + 8, 3 * 232 + 8, 3)


def test_export_and_projector(call, features, tmp_path):
    code, out, err = call("embeddings", "export", str(features), f"--out={tmp_path / 'x.npz'}")
    assert code == 0, err
    assert "3 slides, mean of tile embeddings" in out
    with np.load(tmp_path / "x.npz") as file:
        assert file["embedding"].shape == (3, 2)
    code, out, err = call("embeddings", "projector", str(features), f"--out={tmp_path / 'p'}")
    assert code == 0, err
    assert "points alone" in err
    (metadata,) = (tmp_path / "p").glob("*/slides/metadata.tsv")
    assert metadata.read_text() == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nearest", "FEATURES", "z"], "has no slide z"),
        (["nearest", "FEATURES", "a", "--out=x.png"], "end it in .jpg"),
        (["export", "FEATURES", "--out=x.csv"], ".parquet or .npz"),
        (["export", "nowhere", "--out=x.npz"], "no feature files"),
        (["projector", "FEATURES", "--out=x", "--tiles=nowhere"], "no folder overview"),
        (["export", "FEATURES", "--out=x.npz", "--pool=median"], "no pooling"),
    ],
)
def test_what_is_wrong_is_one_line(call, features, arguments, message):
    given = [str(features) if one == "FEATURES" else one for one in arguments]
    code, _, err = call("embeddings", *given)
    assert code != 0
    assert len(err.splitlines()) == 1
    assert message in err
