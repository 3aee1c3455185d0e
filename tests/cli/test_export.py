"""Weights of a run as safetensors, through the command."""

import json

import safetensors
import safetensors.torch
import torch

from gigakit.engine.checkpoint import load_checkpoint, save_checkpoint
from gigakit.engine.init_from import init_from

STATE = {
    "encoder.cls_token": torch.ones(1, 1, 4),
    "encoder.norm.weight": torch.rand(4),
    "decoder.weight": torch.rand(3, 4),
}


def run(folder, steps=(3, 6)):
    for step in steps:
        weights = {name: value * step for name, value in STATE.items()}
        save_checkpoint({"state_dict": weights, "optimizer": {"state": {}}}, folder, step)
    (folder / "config.py").write_text('model = {"type": "Toy"}\n')
    return folder


def read(path):
    with safetensors.safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def test_the_newest_weights_of_a_run_with_its_config(call, tmp_path):
    folder = run(tmp_path / "run")
    code, out, _ = call("export", str(folder))
    path = folder / "step-00000006.safetensors"
    assert code == 0
    assert out == f"{path}: 3 tensors after step 6\n"
    weights, metadata = read(path)
    assert weights.keys() == STATE.keys()
    assert torch.equal(weights["decoder.weight"], STATE["decoder.weight"] * 6)
    from gigakit import __version__

    assert metadata == {
        "config": 'model = {"type": "Toy"}\n',
        "step": "6",
        "part": "",
        "gigakit": __version__,
    }


def test_a_part_of_a_named_checkpoint_loads_into_a_network(call, tmp_path):
    folder = run(tmp_path / "run")
    out = tmp_path / "encoder.safetensors"
    code, _, _ = call(
        "export", str(folder / "checkpoints/step-00000003.pth"), "--part", "encoder",
        "--out", str(out),
    )  # fmt: skip
    assert code == 0
    assert read(out)[1]["part"] == "encoder"
    network = torch.nn.Module()
    network.cls_token = torch.nn.Parameter(torch.zeros(1, 1, 4))
    network.norm = torch.nn.LayerNorm(4, bias=False)
    assert init_from(network, out).fraction == 1.0
    assert torch.equal(network.cls_token, STATE["encoder.cls_token"] * 3)


def test_an_encoder_leaves_under_its_published_names(call, tmp_path):
    folder = run(tmp_path / "run", steps=(3,))
    code, out, _ = call("export", str(folder), "--part", "encoder", "--layout", "published")
    path = folder / "step-00000003-encoder-published.pth"
    assert (code, out) == (0, f"{path}: 2 tensors after step 3\n")
    assert torch.load(path, weights_only=True).keys() == {"cls_token", "norm.weight"}
    code, _, told = call("export", str(folder), "--layout", "published")
    assert code == 1
    assert "--part encoder" in told


def test_a_damaged_newest_checkpoint_is_passed_over(call, tmp_path):
    folder = run(tmp_path / "run")
    (folder / "checkpoints/step-00000006.pth").write_bytes(b"half")
    code, out, _ = call("export", str(folder))
    assert code == 0
    assert "step-00000003.safetensors" in out


def test_what_cannot_be_exported_is_one_line(call, tmp_path):
    folder = run(tmp_path / "run")
    code, _, told = call("export", str(folder), "--part", "teacher")
    assert code == 1
    assert "has no part 'teacher'; its parts are decoder, encoder" in told
    code, _, told = call("export", str(tmp_path / "none"))
    assert code == 1
    assert told.count("\n") == 1
    empty = tmp_path / "empty"
    (empty / "checkpoints").mkdir(parents=True)
    code, _, told = call("export", str(empty))
    assert code == 1
    assert "holds no valid checkpoint" in told
    assert load_checkpoint(folder / "checkpoints/step-00000006.pth")["state_dict"].keys()


def test_what_was_made_as_json(call, tmp_path):
    folder = run(tmp_path / "run")
    found = json.loads(call("export", str(folder), "--json")[1])
    assert found == {"path": str(folder / "step-00000006.safetensors"), "tensors": 3, "step": 6}
