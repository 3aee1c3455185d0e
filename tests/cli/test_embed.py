"""Embedding with published weights, as users call it: seeded weights of a small encoder."""

from __future__ import annotations

import csv
import json
import shutil

import h5py
import numpy as np
import openslide
import pytest
import torch
from safetensors.torch import save_file

from gigakit.config import find_encoder, load_config
from gigakit.nn.attention.dilated import DilatedAttention
from gigakit.registry import BACKBONES

CONFIG = """
'''A small encoder of GigaPath's kind.'''
weights_files = dict(
    preparation=["pytorch_model.bin", "model.safetensors"], slide_embedding=["slide_encoder.pth"]
)
preparation = dict(
    type="TileEmbedding",
    name="small",
    segmenter=dict(type="OtsuSegmenter"),
    tiler=dict(type="GridTiler"),
    transform=dict(type="EvaluationTransform", resize_px=256, crop_px=32),
    encoder=dict(
        type="VisionTransformer", image_size=32, width=24, depth=2, heads=2, mlp_ratio=5.33334,
        ffn="swiglu", layer_scale=0.1,
    ),
    batch_size=7,
)
slide_embedding = dict(
    type="SlideEmbedding",
    name="small",
    encoder=dict(
        type="LongNet", input_dim=24, width=16, depth=2, heads=4, dropout=0.0,
        attention=dict(
            type="DilatedAttention", segment_lengths=[16, 32], dilation_ratios=[1, 2],
        ),
        position=dict(type="GridSinCos2d", quantize=True),
    ),
    note="take mean",
)
"""


@pytest.fixture
def encoders(tmp_path, monkeypatch):
    """Return tile and slide encoder, whose weights lie in ``weights`` beside ``small.py``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.py").write_text(CONFIG)
    values = load_config("small.py").values
    torch.manual_seed(0)
    tile, slide = (
        BACKBONES.build(values[task]["encoder"]).eval()
        for task in ("preparation", "slide_embedding")
    )
    for module in slide.modules():
        if isinstance(module, torch.nn.LayerNorm):
            torch.nn.init.normal_(module.weight, 1.0, 0.3)
    (tmp_path / "weights").mkdir()
    torch.save(tile.state_dict(), tmp_path / "weights" / "pytorch_model.bin")
    torch.save({"model": slide.state_dict()}, tmp_path / "weights" / "slide_encoder.pth")
    return tile, slide


@pytest.fixture
def sample(shared, tmp_path):
    path = tmp_path / "slides" / "a.svs"
    path.parent.mkdir()
    shutil.copy(shared / "data" / "slides" / "cmu-1-small-region.svs", path)
    return path


GIVEN = ("embed", "--encoder", "small.py", "--weights", "weights")


def files(tmp_path, stage, name="*.h5"):
    return sorted((tmp_path / "work_dirs" / "stores").glob(f"*/{stage}/small-*/{name}"))


def arrays(path):
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}, dict(file.attrs)


def by_hand(path, coords, encoder):
    """Embed tiles with OpenSlide, torch and ImageNet's numbers alone."""
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    slide, out = openslide.OpenSlide(path), []
    for x, y in coords:
        # 0.499 µm/px is within 2 % of 0.5; 112 px of the border are cut
        region = slide.read_region((int(x) + 112, int(y) + 112), 0, (32, 32)).convert("RGB")
        pixels = torch.from_numpy(np.array(region)).float() / 255
        out.append((pixels - mean) / deviation)
    with torch.no_grad():
        return encoder(torch.stack(out).permute(0, 3, 1, 2)).numpy()


def layers_by_hand(slide, features, cells):
    """Every layer under both poolings, from the blocks themselves."""
    with torch.no_grad():
        x = slide.embed(torch.from_numpy(features)[None].float(), torch.from_numpy(cells)[None])
        tokens = [x]
        for block in slide.encoder.layers:
            tokens.append(block(tokens[-1]))
        last = slide.encoder.layer_norm(tokens[-1])
        return {
            "cls": torch.stack([slide.norm(t[0, 0]) for t in tokens]),
            "mean": torch.stack([slide.norm(t[0, 1:].mean(0)) for t in tokens]),
            "last_cls": slide.norm(last[0, 0]),
            "last_mean": slide.norm(last[0, 1:].mean(0)),
        }


def check(path, slide, features, cells):
    found, attrs = arrays(path)
    for name, expected in layers_by_hand(slide, features, cells).items():
        assert found[name].dtype == np.float32
        assert found[name].shape == tuple(expected.shape)
        assert np.abs(found[name] - expected.numpy()).max() < 1e-5, name
    return found, attrs


def test_from_a_slide_to_tile_and_slide_embeddings(call, encoders, sample, tmp_path):
    tile, slide = encoders
    code, out, told = call(*GIVEN, "slides")
    assert code == 0, told
    assert [line.partition(":")[0] for line in out.splitlines()] == [
        "tiling", "embedding", "slides",
    ]  # fmt: skip
    (path,) = files(tmp_path, "features")
    stored, _ = arrays(path)
    expected = by_hand(sample, stored["coords"], tile)
    assert len(expected) == 49
    assert np.abs(stored["features"] - expected).max() < 2e-3 * np.abs(expected).max()
    # one cell is 256 px of the target resolution, which is the slide's own here
    cells = np.floor(stored["coords"] / 256)
    found, attrs = check(files(tmp_path, "slides")[0], slide, stored["features"], cells)
    assert found["cls"].shape == (3, 16)
    assert not np.allclose(found["cls"][-1], found["last_cls"], atol=1e-3)
    assert (attrs["tiles"], attrs["note"], attrs["encoder"]) == (49, "take mean", "small")
    with h5py.File(files(tmp_path, "slides")[0]) as file:
        assert "'encoder.layer_norm') is skipped" in file["mean"].attrs["meaning"]
        assert all("meaning" in file[name].attrs for name in file)
    again = call(*GIVEN, "slides")
    assert again[0] == 0
    assert again[1].count("1 skipped") == 3
    assert again[2] == ""
    # from the features alone it is the same work, in the same place
    code, out, _ = call(*GIVEN, "--features", str(path.parent))
    assert out.startswith("slides: 1 skipped; 49 tiles")
    assert len(files(tmp_path, "slides")) == 1


def test_one_bad_slide_does_not_stop_the_others(call, encoders, sample, shared, tmp_path):
    shutil.copy(shared / "data" / "odd" / "truncated_cmu_300kB.svs", sample.parent / "bad.svs")
    code, out, told = call(*GIVEN, "slides")
    assert code == 3
    assert "1 of 2 slides failed" in told
    assert out.splitlines()[-1].startswith("slides: 1 done")
    (path,) = files(tmp_path, "slides", "status.csv")
    with path.open() as stream:
        assert [(row["slide_id"], row["state"]) for row in csv.DictReader(stream)] == [
            ("a", "done")
        ]
    # the slides of a pattern are one cohort, of the same name
    code, out, _ = call(*GIVEN, str(sample), str(sample.parent / "bad.svs"))
    assert code == 3
    assert out.splitlines()[-1].startswith("slides: 1 skipped")


def test_other_layouts_of_the_same_weights_give_the_same_numbers(call, encoders, sample, tmp_path):
    assert call(*GIVEN, "slides")[0] == 0
    (tmp_path / "weights" / "pytorch_model.bin").unlink()
    state = {
        k.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3"): v
        for k, v in encoders[0].state_dict().items()
    }
    save_file(state, tmp_path / "weights" / "model.safetensors")
    code, _, told = call(*GIVEN, "slides", "--batch-size", "50")
    assert code == 0, told
    one, two = (arrays(path)[0]["features"] for path in files(tmp_path, "features"))
    assert np.abs(one.astype(np.float32) - two).max() < 2e-3


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (["slide_encoder.pth"], "does not hold slide_encoder.pth (slide_embedding); download"),
        (
            ["slide_encoder.pth", "pytorch_model.bin"],
            "does not hold pytorch_model.bin or model.safetensors (preparation), and slide_enc",
        ),
    ],
)
def test_missing_weights_are_named_before_any_work(call, encoders, tmp_path, remove, message):
    for name in remove:
        (tmp_path / "weights" / name).unlink()
    code, _, told = call(*GIVEN, "none.svs")
    assert code == 2
    assert message in told
    assert not (tmp_path / "work_dirs").exists()


def test_weights_of_another_network_are_refused_before_any_work(call, encoders, tmp_path):
    torch.save(encoders[0].state_dict(), tmp_path / "weights" / "slide_encoder.pth")
    code, _, told = call(*GIVEN, "none.svs")
    assert code == 1
    assert "slide_encoder.pth: does not fit LongNet" in told
    assert not (tmp_path / "work_dirs").exists()


def feature_file(path, cells, *, scale, step, shift=0):
    generator = np.random.default_rng(1)
    features = generator.standard_normal((len(cells), 24)).astype(np.float32)
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        file["features"] = features
        coords = file.create_dataset("coords", data=np.rint(cells * scale + shift).astype(int))
        if step:
            coords.attrs["patch_size_level0"] = step
    return features


CELLS = np.stack(np.meshgrid(np.arange(7.0), np.arange(5.0)), axis=-1).reshape(-1, 2)[3:]


def test_existing_features_of_another_tool(call, encoders, tmp_path):
    _, slide = encoders
    features = feature_file(tmp_path / "trident" / "x.h5", CELLS, scale=513.03, step=513)
    code, out, told = call(*GIVEN, "--features", "trident")
    assert code == 0, told
    assert out.startswith("slides: 1 done; 32 tiles in work_dirs/stores/trident/slides/small-")
    found, attrs = check(files(tmp_path, "slides")[0], slide, features, CELLS)
    assert tuple(attrs["cells_across_and_down"]) == (7, 5)
    assert call(*GIVEN, "--features", "trident")[1].startswith("slides: 1 skipped")
    # a file made anew is embedded anew
    feature_file(tmp_path / "trident" / "x.h5", CELLS[:9], scale=513.03, step=513)
    assert call(*GIVEN, "--features", "trident")[1].startswith("slides: 1 done; 9 tiles")
    # torch files without coordinates take them from elsewhere
    (tmp_path / "pt").mkdir()
    torch.save(torch.from_numpy(features), tmp_path / "pt" / "x.pt")
    feature_file(tmp_path / "panda" / "x.h5", CELLS, scale=256, step=None)
    code, _, told = call(*GIVEN, "--features", "pt", "--coords", "panda", "--step", "256")
    assert code == 0, told
    (path,) = (tmp_path / "work_dirs/stores/pt").rglob("x.h5")
    assert np.array_equal(arrays(path)[0]["mean"], found["mean"])


def test_feature_files_that_cannot_be_used_are_told_one_by_one(call, encoders, tmp_path):
    feature_file(tmp_path / "f" / "good.h5", CELLS, scale=256, step=256)
    feature_file(tmp_path / "f" / "negative.h5", CELLS, scale=256, step=256, shift=-512)
    feature_file(tmp_path / "f" / "unit.h5", CELLS, scale=512, step=256)
    feature_file(tmp_path / "f" / "unknown.h5", CELLS, scale=512, step=None)
    torch.save(torch.zeros(4, 24), tmp_path / "f" / "bare.pt")
    torch.save({"features": torch.zeros(4, 7)}, tmp_path / "f" / "narrow.pt")
    code, out, told = call(*GIVEN, "--features", "f")
    assert code == 3
    assert out.startswith("slides: 1 done, 5 failed")
    lines = {line.partition(":")[0]: line for line in told.splitlines()}
    for name, reason in {
        "negative": "begin at column -2, row -2",
        "unit": "512 px apart",
        "unknown": "--step 512",
        "bare": "without coordinates",
        "narrow": "have 7 numbers, the slide encoder takes 24",
    }.items():
        assert reason in lines[name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "neither slides nor --features"),
        (("a.svs", "--features", "f"), "both slides and --features"),
        (("a.svs", "--step", "3"), "--coords and --step are about --features"),
        (("a.svs", "--encoder", "gigapat"), "did you mean 'encoders/gigapath'"),
        (
            ("a.svs", "--encoder", "gigapath"),
            "pytorch_model.bin or model.safetensors (preparation)",
        ),
        (("--features", "f", "--encoder", "gigapath"), "holds slide_encoder.pth or"),
        (("a.svs", "--encoder", "gigapath", "--weights", "nowhere"), "nowhere: no such folder"),
        (("a.svs", "--weights", "."), "has no place for weights"),
        (("--features", "f"), "such as --encoder gigapath"),
    ],
)
def test_wrong_usage_is_one_line(call, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, told = call("embed", *arguments)
    assert code == 2
    assert message in told
    assert told.count("\n") == 1


def test_precisions_and_devices_that_do_not_exist_are_told(call, encoders):
    code, _, told = call(*GIVEN, "a.svs", "--precision", "fp8")
    assert code == 2
    assert told.count("got 'fp8'") == 2
    code, _, told = call(*GIVEN, "a.svs", "--device", "quantum")
    assert code == 2
    assert "device quantum" in told


def test_the_published_config_has_the_published_tensors_and_settings(shared):
    folder = shared / "reference" / "slide_encoder"
    tile = json.loads((folder / "tile_encoder_state_dict_keys.json").read_text())["keys"]
    slide = json.loads((folder / "slide_encoder_state_dict_keys.json").read_text())[
        "gigapath_slide_enc12l768d"
    ]
    values = load_config(find_encoder("gigapath")).values
    with torch.device("meta"):
        tile_encoder = BACKBONES.build(values["preparation"]["encoder"])
        slide_encoder = BACKBONES.build(values["slide_embedding"]["encoder"])
    for encoder, keys in ((tile_encoder, tile), (slide_encoder, slide["keys"])):
        assert {k: list(v.shape) for k, v in encoder.state_dict().items()} == keys
    assert isinstance(slide_encoder.attention, DilatedAttention)
    pairs = zip(slide["segment_length"], slide["dilated_ratio"], strict=True)
    assert list(slide_encoder.attention.branches) == list(pairs)
    assert slide_encoder.position.quantize


def test_encoders_are_listed_and_are_not_trained(call):
    code, out, _ = call("list", "encoder")
    assert code == 0
    assert "gigapath" in out
    assert "encoders/gigapath" in call("list", "recipe")[1]
    assert "pytorch_model.bin (4.5 GB" in call("list", "encoder", "gigapath")[1]
    assert "did you mean" in call("list", "encoder", "gigapat")[2]
    code, _, told = call("train", "encoders/gigapath", "--set", "cohort=sample")
    assert code == 2
    assert "has no model to train" in told
