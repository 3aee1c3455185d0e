"""Weight files: strict loading, the wrappings of published files, refusals, export."""

from __future__ import annotations

import pytest
import safetensors
import torch
from safetensors.torch import save_file

from gigakit.core.errors import CheckpointError
from gigakit.nn.backbones.longnet import LongNet
from gigakit.nn.weights import compare_weights, load_weights, read_weights, write_safetensors


def make(**changes):
    return LongNet(**{"input_dim": 6, "width": 16, "depth": 1, "heads": 4, **changes})


def same(a, b):
    return all(torch.equal(v, b.state_dict()[name]) for name, v in a.state_dict().items())


def test_weights_survive_export(tmp_path):
    model, other = make(), make()
    assert not same(model, other)
    write_safetensors(model.state_dict(), tmp_path / "w.safetensors", metadata={"recipe": "x"})
    load_weights(other, tmp_path / "w.safetensors")
    assert same(model, other)
    with safetensors.safe_open(tmp_path / "w.safetensors", "pt") as file:
        assert file.metadata() == {"recipe": "x"}
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict", "teacher"])
def test_torch_files_load_in_the_wrappings_of_published_files(tmp_path, wrapper):
    model, other = make(), make()
    state = model.state_dict()
    torch.save(state if wrapper is None else {wrapper: state, "epoch": 3}, tmp_path / "w.pth")
    load_weights(other, tmp_path / "w.pth")
    assert same(model, other)


def test_the_tensors_under_a_prefix_are_taken(tmp_path):
    model, other = make(), make()
    state = {f"slide_encoder.{name}": value for name, value in model.state_dict().items()}
    state["classifier.0.weight"] = torch.zeros(2, 16)
    save_file(state, tmp_path / "w.safetensors")
    load_weights(other, tmp_path / "w.safetensors", prefix="slide_encoder.")
    assert same(model, other)
    with pytest.raises(CheckpointError, match=r"27 missing .*28 unexpected"):
        load_weights(other, tmp_path / "w.safetensors")


def test_a_misfit_is_told_and_changes_nothing(tmp_path):
    write_safetensors(make().state_dict(), tmp_path / "w.safetensors")
    deep, wide = make(depth=2), make(input_dim=7)
    before = {name: value.clone() for name, value in wide.state_dict().items()}
    with pytest.raises(CheckpointError, match="20 missing"):
        load_weights(deep, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"1 misshapen \(patch_embed.proj.weight \(16, 6\)"):
        load_weights(wide, tmp_path / "w.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in wide.state_dict().items())
    assert compare_weights(before, before) == ""


def test_files_that_are_no_weights_are_refused(tmp_path):
    torch.save({"model": make()}, tmp_path / "code.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    for name in ("code.pth", "text.pth", "text.safetensors"):
        with pytest.raises(CheckpointError, match="cannot be read as tensors"):
            read_weights(tmp_path / name)
    with pytest.raises(CheckpointError, match="holds no state dict"):
        read_weights(tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="no such file"):
        read_weights(tmp_path / "none.pth")
