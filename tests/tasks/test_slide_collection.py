"""Slides by one vector: exported, searched, shown; every file is read back by others' readers."""

from __future__ import annotations

import builtins
import csv
import json

import cv2
import h5py
import numpy as np
import pytest
from google.protobuf import text_format
from pyarrow import parquet
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from gigakit.core.errors import ConfigError
from gigakit.tasks.embedding_projector import write_projector
from gigakit.tasks.nearest_slides import nearest_slides
from gigakit.tasks.slide_collection import read_collection
from gigakit.tasks.slide_table import write_slide_table
from gigakit.tasks.thumbnails import slide_thumbnail
from gigakit.wsi.slide_embeddings import MEANINGS, write_slide_embeddings
from gigakit.wsi.tiles import TileTable

SLIDES, LAYERS, WIDTH = 5, 3, 4
COLOURS = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0), (0, 200, 200)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return a cohort's folder: slide embeddings, tiles with overviews, a table."""
    root = tmp_path_factory.mktemp("store")
    generator = np.random.default_rng(0)
    (root / "tiles" / "grid" / "overview").mkdir(parents=True)
    for number in range(SLIDES):
        slide = f"slide{number}"
        layered = generator.standard_normal((2, LAYERS, WIDTH))
        arrays = {
            "cls": layered[0], "mean": layered[1], "last_cls": layered[0, -1] + 1,
            "last_mean": layered[1, -1] + 1,
        }  # fmt: skip
        write_slide_embeddings(
            root / "slides" / "enc" / f"{slide}.h5", arrays, {"encoder": "enc", "precision": "fp32"}
        )
        table = TileTable.from_grid(slide, np.zeros((1, 2)))
        # a legend lies below the slide's part
        table.attrs.update({"slide_size": (400, 200), "overview_size": (80, 40)})
        table.save(root / "tiles" / "grid" / f"{slide}.h5")
        picture = np.full((60, 80, 3), 255, np.uint8)
        picture[:40] = COLOURS[number][::-1]
        cv2.imwrite(str(root / "tiles" / "grid" / "overview" / f"{slide}.jpg"), picture)
    with (root / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["slide_id", "patient_id", "type"])
        # slide4 has no row, slide9 no embedding
        writer.writerows([[f"slide{n}", f"p{n // 2}", "AB"[n % 2]] for n in (3, 1, 0, 2, 9)])
    return root


def stored(store, number, name):
    with h5py.File(store / "slides" / "enc" / f"slide{number}.h5") as file:
        return file[name][()]


def collected(store, **options):
    return read_collection(store / "slides" / "enc", store / "labels.csv", **options)


def test_vectors_and_rows_belong_together(store):
    found = collected(store)
    assert found.slides == tuple(f"slide{n}" for n in range(SLIDES))
    assert found.columns == {
        "patient_id": ("p0", "p0", "p1", "p1", ""), "type": ("A", "B", "A", "B", ""),
    }  # fmt: skip
    assert len(found.notes) == 2
    for number in range(SLIDES):
        assert np.array_equal(found.matrix[number], stored(store, number, "mean")[-1])


def test_parquet_is_read_by_pyarrow(store, tmp_path):
    path = tmp_path / "slides.parquet"
    write_slide_table(collected(store), store / "slides" / "enc", path)
    table = parquet.read_table(path)
    assert table.column_names == ["slide_id", "patient_id", "type", "embedding"]
    assert str(table.schema.field("embedding").type) == f"fixed_size_list<element: float>[{WIDTH}]"
    assert table["type"].to_pylist() == ["A", "B", "A", "B", ""]
    assert np.array_equal(np.array(table["embedding"].to_pylist()[2]), stored(store, 2, "mean")[-1])
    told = json.loads(table.schema.metadata[b"gigakit"])
    assert told["encoder"] == "enc"
    assert told["meaning"] == MEANINGS["mean"]
    assert told["vectors"] == {"embedding": {"what": "layer last", "width": WIDTH}}


def test_npz_is_read_without_pickles_and_has_a_column_a_version(store, tmp_path):
    path = tmp_path / "slides.npz"
    found = collected(store, embedding="cls", layers="1,1+2")
    write_slide_table(found, store / "slides" / "enc", path)
    with np.load(path) as file:
        assert file["slide_id"].tolist() == list(found.slides)
        assert np.array_equal(file["embedding_layer_1"][3], stored(store, 3, "cls")[1])
        assert np.array_equal(file["embedding_layer_1+2"][3], stored(store, 3, "cls")[1:].ravel())
        told = json.loads(str(file["meaning"]))
    assert told["meaning"] == MEANINGS["cls"]
    with pytest.raises(ConfigError, match="2 versions"):
        _ = found.matrix


def test_pooled_tile_features_are_no_slide_embeddings(store, tmp_path):
    with h5py.File(tmp_path / "slide0.h5", "w") as file:
        file["features"] = np.arange(8.0).reshape(2, 4)
        file["coords"] = np.zeros((2, 2))
    found = read_collection(tmp_path)
    assert found.matrix.tolist() == [[2.0, 3.0, 4.0, 5.0]]
    told = write_slide_table(found, tmp_path, tmp_path / "out.npz")
    assert told["source"] == "mean of tile embeddings"
    assert "meaning" not in told


def test_without_pyarrow_one_line_says_what_to_do(store, tmp_path, monkeypatch):
    genuine = builtins.__import__

    def without(name, *rest):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return genuine(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"gigakit\[eval\]"):
        write_slide_table(collected(store), store / "slides" / "enc", tmp_path / "slides.parquet")


def test_nearest_by_cosine():
    vectors = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0], [-1.0, 0.0], [10.0, 1.0]])
    near = nearest_slides(vectors, 0, 3)
    assert [one.row for one in near] == [4, 2, 1]
    assert [one.cosine for one in near] == pytest.approx([10 / 101**0.5, 0.5**0.5, 0.0])
    assert len(nearest_slides(vectors, 2, 99)) == 4
    # a large part that all share hides the differences, until it is taken away
    shared = vectors + 1000.0
    assert nearest_slides(shared, 0, 4)[-1].cosine > 0.999
    told = nearest_slides(shared, 0, 4, centred=True)
    assert min(one.cosine for one in told) < -0.5


def test_a_thumbnail_is_the_slides_part_in_the_middle_of_a_square(store):
    picture = slide_thumbnail([store / "tiles" / "grid"], "slide2", 40).astype(int)
    assert picture.shape == (40, 40, 3)
    assert abs(picture[20, 20] - COLOURS[2]).max() < 12
    assert (picture[:9] == 255).all()
    assert (picture[31:] == 255).all()
    assert (slide_thumbnail([store], "slide2", 8) == 225).all()


def test_the_projectors_files_are_what_tensorboard_reads(store, tmp_path):
    found = collected(store)
    for _ in range(2):
        write_projector(found, tmp_path, [store / "tiles" / "grid"])
    config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (shown,) = config.embeddings
    tensors = np.loadtxt(tmp_path / shown.tensor_path, delimiter="\t")
    np.testing.assert_allclose(tensors, found.matrix, rtol=1e-6)
    lines = (tmp_path / shown.metadata_path).read_text().splitlines()
    assert lines[0] == "slide_id\tpatient_id\ttype"
    assert lines[4] == "slide3\tp1\tB"
    assert len(lines) == 1 + SLIDES
    sprite = cv2.cvtColor(cv2.imread(str(tmp_path / shown.sprite.image_path)), cv2.COLOR_BGR2RGB)
    across, down = shown.sprite.single_image_dim
    assert sprite.shape == (3 * down, 3 * across, 3)
    for number, colour in enumerate(COLOURS):
        y, x = number // 3 * down + down // 2, number % 3 * across + across // 2
        assert abs(sprite[y, x].astype(int) - colour).max() < 12
