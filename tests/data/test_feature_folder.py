"""Feature files of other tools."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError, StoreError
from gigakit.data.feature_folder import FeatureFolder
from gigakit.registry import DATASETS
from gigakit.tasks.prepared import read_prepared

CELLS = np.stack(np.meshgrid(np.arange(6), np.arange(5)), axis=-1).reshape(-1, 2)[::2]
FEATURES = np.random.default_rng(0).standard_normal((len(CELLS), 8)).astype(np.float32)


def write_h5(path, *, scale, told=(), features=FEATURES, dtype=np.int64):
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        if features is not None:
            file["features"] = features
        coords = file.create_dataset("coords", data=(CELLS * scale).astype(dtype))
        coords.attrs.update(dict(told))


def read(folder, **options):
    features = FeatureFolder(folder, **options)
    return features.read(next(iter(features.files.values())))


def check(found):
    assert found.features.dtype == np.float32
    assert np.array_equal(found.features, FEATURES)
    assert np.array_equal(found.grid, CELLS)
    assert found.slide_id == "s"


def test_trident(tmp_path):
    told = {"patch_size": 256, "patch_size_level0": 513, "overlap": 0, "level0_width": 9999}
    write_h5(tmp_path / "s.h5", scale=513.03, told=told, features=FEATURES[None])
    check(read(tmp_path))
    assert read_prepared(tmp_path).lengths == [len(CELLS)]


def test_clam(tmp_path):
    told = {"patch_size": 256, "patch_level": 1, "downsample": [2.0, 2.0]}
    write_h5(tmp_path / "s.h5", scale=512, told=told)
    check(read(tmp_path))


def test_panda_needs_its_step_said(tmp_path):
    write_h5(tmp_path / "s.h5", scale=256, dtype=np.float32)
    with pytest.raises(StoreError, match=r"lie 256 px apart; .* do not overlap: --step 256"):
        read(tmp_path)
    check(read(tmp_path, step=256.0))


def test_level0_coordinates_with_a_step_of_the_target_are_refused(tmp_path):
    write_h5(tmp_path / "s.h5", scale=512, told={"patch_size_level0": 256})
    # 15 tiles may be scattered by chance; with one more they cannot
    assert len(CELLS) == 15
    read(tmp_path)
    with h5py.File(tmp_path / "s.h5", "a") as file:
        told = dict(file["coords"].attrs)
        coords = np.concatenate([CELLS, [[1, 0]]]) * 512
        del file["coords"], file["features"]
        file["features"] = np.concatenate([FEATURES, FEATURES[:1]])
        file["coords"] = coords
        file["coords"].attrs.update(told)
    with pytest.raises(StoreError, match=r"512 px apart: .* different resolutions.*--step 512"):
        read(tmp_path)
    assert np.array_equal(read(tmp_path, step=512.0).grid, coords / 512)


@pytest.mark.parametrize("kind", ["tensor", "dict", "batch"])
def test_torch_files_take_coordinates_from_a_folder(tmp_path, kind):
    features = torch.from_numpy(FEATURES)
    content = {"tensor": features, "dict": {"features": features}, "batch": features[None]}[kind]
    (tmp_path / "pt").mkdir()
    torch.save(content, tmp_path / "pt" / "s.pt")
    with pytest.raises(StoreError, match=r"without coordinates.*--coords DIR"):
        read(tmp_path / "pt")
    for name in ("s.h5", "s_patches.h5"):
        write_h5(tmp_path / name / name, scale=512, told={"patch_size_level0": 512}, features=None)
        check(read(tmp_path / "pt", coords=tmp_path / name))
    with pytest.raises(StoreError, match="no such file"):
        read(tmp_path / "pt", coords=tmp_path / "pt")
    assert read_prepared(tmp_path / "pt").width == 8


def test_torch_files_with_coordinates(tmp_path):
    content = {
        "features": torch.from_numpy(FEATURES).bfloat16(), "coords": torch.from_numpy(CELLS * 512),
    }  # fmt: skip
    torch.save(content, tmp_path / "s.pt")
    with pytest.raises(StoreError, match="--step 512"):
        read(tmp_path)
    found = read(tmp_path, step=512)
    assert np.array_equal(found.grid, CELLS)
    assert np.abs(found.features - FEATURES).max() < 0.02
    torch.save({**content, "patch_size_level0": 512}, tmp_path / "s.pt")
    assert np.array_equal(read(tmp_path).grid, CELLS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"feats": torch.zeros(3, 2)}, "holds no 'features', only feats"),
        (torch.zeros(3), r"its 'features' are \(3,\)"),
        ("text", "its 'features' are str"),
        (torch.full((3, 2), torch.nan), "not finite"),
        ({"features": torch.zeros(3, 2), "coords": torch.zeros(3, 3)}, r"not \(N, 2\)"),
    ],
)
def test_torch_files_of_another_form_are_told(tmp_path, content, message):
    torch.save(content, tmp_path / "s.pt")
    with pytest.raises(StoreError, match=message):
        read(tmp_path, step=1)


def test_a_count_that_differs_names_the_slide(tmp_path):
    (tmp_path / "pt").mkdir()
    torch.save(torch.zeros(4, 8), tmp_path / "pt" / "s.pt")
    write_h5(tmp_path / "h5" / "s.h5", scale=256, features=None)
    with pytest.raises(StoreError, match="s: 4 features, 15 coords"):
        read(tmp_path / "pt", coords=tmp_path / "h5", step=256)


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(StoreError, match=r"holds no feature files \(\*\.h5, \*\.pt\)"):
        FeatureFolder(tmp_path)
    torch.save(torch.zeros(1, 2), tmp_path / "s.pt")
    with pytest.raises(ConfigError, match="step is 0"):
        FeatureFolder(tmp_path, step=0)
    write_h5(tmp_path / "s.h5", scale=1)
    with pytest.raises(StoreError, match=r"two files of one slide: s\.\w+ and s\.\w+"):
        FeatureFolder(tmp_path)
    (tmp_path / "s.h5").unlink()
    (tmp_path / "s.pt").write_bytes(b"no torch file")
    with pytest.raises(StoreError, match="cannot be read as tensors"):
        read(tmp_path)


def test_training_reads_such_a_folder(tmp_path):
    torch.save(torch.from_numpy(FEATURES), tmp_path / "s.pt")
    write_h5(tmp_path / "h5" / "s.h5", scale=256, features=None)
    data = DATASETS.build(
        {
            "type": "SlideFeatures", "root": str(tmp_path), "coords": str(tmp_path / "h5"),
            "step": 256,
        }
    )  # fmt: skip
    assert torch.equal(data[0]["grid"], torch.from_numpy(CELLS).double())
