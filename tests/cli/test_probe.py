"""``gigakit probe``: encoders as users name them, what is printed and written, and errors."""

from __future__ import annotations

import csv
import json
import sys

import cv2
import pytest
import torch
from tasks.probes import drawn

from gigakit.engine.checkpoint import save_checkpoint
from gigakit.engine.export import export_weights
from gigakit.registry import BACKBONES

VIT = 'dict(type="VisionTransformer", image_size=32, patch_size=8, width=12, depth=1, heads=2)'


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Return the arguments for a folder of tiles and its table; the folder is the current one."""
    monkeypatch.chdir(tmp_path)
    drawn.write_folder(tmp_path / "tiles")
    drawn.write_table(tmp_path / "labels.csv")
    (tmp_path / "enc.py").write_text(f"encoder = {VIT}\n")
    return ("probe", "tiles", "--table", "labels.csv")


def network():
    torch.manual_seed(1)
    return BACKBONES.build(eval(VIT, {"dict": dict}))


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "runs" / "mine" / "1"
    weights = network().state_dict()
    state = {f"student.backbone.{k}": torch.zeros_like(v) for k, v in weights.items()}
    state |= {f"teacher.backbone.{k}": v for k, v in weights.items()}
    save_checkpoint({"state_dict": state}, folder, 3)
    (folder / "config.py").write_text(f'model = dict(type="X", backbone={VIT})\n')
    return folder


def scored(out):
    return {one["name"]: one for one in json.loads(out)["encoders"]}


def test_a_table_and_a_folder_of_results(call, data, tmp_path):
    code, out, told = call(
        *data, "--encoder", "colour-texture", "--encoder", "untrained:enc.py",
        "--tokens", "cls+mean", "--out", "probed",
    )  # fmt: skip
    assert code == 0
    assert "54 tiles of 3 classes and 18 cases: 18 train, 18 val, 18 test" in out
    assert "the split is that of the data" in out
    assert "difference to colour-texture on the same draws of cases" in out
    assert "warning" not in told
    folder = tmp_path / "probed"
    written = {path.name for path in folder.iterdir()}
    assert written == {
        "probe.json", "probe.md", "predictions.csv",
        "colour-texture-confusion.png", "colour-texture-neighbours.png",
        "untrained-enc-confusion.png", "untrained-enc-neighbours.png", "untrained-enc-patches.png",
    }  # fmt: skip
    found = scored((folder / "probe.json").read_text())
    bar, other = found["colour-texture"], found["untrained enc"]
    assert bar["width"] == 150
    assert other["width"] == 24
    assert bar["linear"]["accuracy"]["value"] > 0.9
    assert sum(map(sum, bar["confusion"])) == 18
    gap = other["linear"]["accuracy"]["value"] - bar["linear"]["accuracy"]["value"]
    assert other["difference"]["accuracy"]["value"] == pytest.approx(gap)
    assert bar["difference"] is None
    assert set(bar["knn"]) == {"10", "20", "100", "200"}
    with (folder / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    right = [row["label"] == row["colour-texture"] for row in rows]
    assert sum(right) / 18 == pytest.approx(bar["linear"]["accuracy"]["value"])
    page = (folder / "probe.md").read_text()
    assert all(f"({name})" in page for name in written if name.endswith(".png"))
    assert all(cv2.imread(str(path)) is not None for path in folder.glob("*.png"))


def test_a_run_an_export_and_a_config_with_weights_are_one_encoder(call, data, run_folder):
    whole = export_weights(run_folder).path
    part = export_weights(run_folder, part="teacher.backbone").path
    bare = run_folder / "bare.pth"
    torch.save(network().state_dict(), bare)
    code, out, _ = call(
        *data, "--encoder", str(run_folder), "--encoder", str(whole), "--encoder", str(part),
        "--encoder", "enc.py", "--weights", str(bare), "--encoder", "untrained", "--json",
    )  # fmt: skip
    assert code == 0
    found = scored(out)
    assert list(found) == [
        "mine/1 step 3", "step-00000003", "step-00000003-teacher.backbone", "enc",
        "untrained mine/1 step 3",
    ]  # fmt: skip
    linear = [one["linear"] for one in found.values()]
    assert linear[0] == linear[1] == linear[2] == linear[3]
    ranks = [one["health"]["RankMe"] for one in found.values()]
    assert ranks[0] == ranks[1] == ranks[2] == ranks[3] != ranks[4]
    code, out, _ = call(*data, "--weights", str(whole), "--json")
    assert scored(out)["step-00000003"]["linear"] == linear[0]


def test_leaks_and_missing_cases_are_warned_of(call, data, tmp_path):
    code, out, told = call("probe", "tiles", "--encoder", "colour-texture", "--seed", "3")
    assert code == 0
    assert "warning: no cases are known" in told
    assert "tiles were drawn with seed 3" in out
    leaky = [(*row[:3], "test" if i % 3 == 0 else "train") for i, row in enumerate(drawn.rows())]
    drawn.write_table(tmp_path / "leaky.csv", leaky)
    code, out, told = call(
        "probe", "leaky.csv", "--root", "tiles", "--encoder", "colour-texture", "--json"
    )
    assert code == 0
    assert "warning: 18 cases are in the test split and in another one" in told
    assert "18 cases" in json.loads(out)["warnings"][0]


def test_damaged_tiles_are_listed_and_left_out_up_to_a_share(call, data, tmp_path):
    (tmp_path / "tiles" / drawn.rows()[4][0]).write_bytes(b"half")
    code, out, told = call(*data, "--encoder", "colour-texture", "--max-bad-share", "0.02")
    assert code == 0
    assert "53 tiles of 3 classes" in out
    assert "warning: 1 tile cannot be read and are left out" not in told
    assert "warning: 1 tile cannot be read and is left out: tiles/mucus/c01-1.png" in told
    code, _, told = call(*data, "--encoder", "colour-texture")
    assert code == 1
    assert "more than 1.0% of all 54; the first: tiles/mucus/c01-1.png: is no image" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tiles",), "no encoder; name one with --encoder, such as colour-texture"),
        (("tiles", "--encoder", "gigapat", "--weights", "enc.py"), "did you mean"),
        (("tiles", "--encoder", "enc.py"), "0 files for the configs enc.py"),
        (("tiles", "--encoder", "untrained"), "of which encoder?"),
        (("tiles", "--encoder", "tiles"), "is no folder of a run"),
        (("tiles", "--encoder", "untrained:tiny/slide", "--device", "quantum"), "device quantum"),
        (("empty", "--encoder", "colour-texture"), "empty: holds no tiles"),
        (("nowhere", "--encoder", "colour-texture"), "nowhere: no such file or folder of tiles"),
        (("single", "--encoder", "colour-texture"), "holds one class alone, 'gland'"),
        (("short.csv", "--encoder", "colour-texture"), "has no column 'label'"),
        (("tiles", "--root", ".", "--encoder", "colour-texture"), "--root is for the paths"),
        (("small", "--encoder", "untrained:enc.py"), "a tile has 16 x 16 px, the encoder takes 32"),
        (("tiles", "--encoder", "untrained:enc.py", "--tokens", "x"), "choose cls or cls+mean"),
    ],
)
def test_wrong_usage_is_one_line(call, data, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    drawn.write_folder(tmp_path / "single", found=drawn.rows()[:3])
    drawn.write_folder(tmp_path / "small", side=16)
    (tmp_path / "short.csv").write_text("tile,case\na,b\n")
    code, _, told = call("probe", *arguments)
    told = "\n".join(line for line in told.splitlines() if not line.startswith("warning: "))
    assert code == 2
    assert message in told
    assert told.count("\n") == 0


def test_weights_that_do_not_fit_or_have_no_config(call, data, tmp_path):
    torch.save({"cls_token": torch.zeros(1, 1, 4)}, tmp_path / "w.pth")
    code, _, told = call(*data, "--encoder", "enc.py", "--weights", "w.pth")
    assert code == 1
    assert "does not fit VisionTransformer" in told
    code, _, told = call(*data, "--weights", "w.pth")
    assert code == 2
    assert "does not hold the config of its encoder" in told
    code, _, told = call(*data, "--weights", "none.safetensors")
    assert code == 1
    assert "no such file" in told


def test_without_scikit_learn_nothing_is_embedded(call, data, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    code, _, told = call(*data, "--encoder", "colour-texture")
    assert code == 2
    assert "pip install 'gigakit[eval]'" in told
    assert told.count("\n") == 1
