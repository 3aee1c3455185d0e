"""``gigakit config check | show | diff``."""

from __future__ import annotations

import json
import re

import pytest

from gigakit.config import load_checked, load_config, rerunnable_text

WRONG = 'model = dict(type="MaskedAutoencoder", encoder=dict(type="LongNet"), decodr=1)\n'


@pytest.fixture
def wrong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "wrong.py"
    path.write_text(WRONG, encoding="utf-8")
    return path


def test_check_of_good_configs(call):
    assert call("config", "check", "gigapath_slide", "tiny/slide") == (
        0,
        "gigapath_slide: ok\ntiny/slide: ok\n",
        "",
    )


def test_check_tells_every_problem_of_every_config(call, wrong):
    code, out, err = call("config", "check", "wrong.py", "tiny/slide", "absent")
    assert code == 2
    assert out.splitlines() == [
        "wrong.py:1: model: MaskedAutoencoder needs the argument 'decoder'",
        "wrong.py:1: model.decodr: MaskedAutoencoder has no argument 'decodr', "
        "did you mean 'decoder'?",
        "tiny/slide: ok",
        "absent: no such recipe; see: gigakit list recipe",
    ]
    assert err == "3 problems\n"


@pytest.mark.parametrize("option", ["--set", "--cfg-options"])
def test_check_tells_overrides_and_config_together(call, wrong, option):
    code, out, _ = call(
        "config", "check", "wrong.py", option, "model.mask_ration=0.5", "--set", "x=1"
    )
    assert code == 2
    assert [line.partition(": ")[0] for line in out.splitlines()] == [
        "--set model.mask_ration",
        "--set x",
        "wrong.py:1",
        "wrong.py:1",
    ]


def test_show_prints_what_reads_as_the_same(call, tmp_path):
    code, out, err = call("config", "show", "tiny/slide", "--set", "cohort=slides.csv")
    assert (code, err) == (0, "")
    shown = tmp_path / "shown.py"
    shown.write_text(out, encoding="utf-8")
    assert load_config(shown).values == load_config("tiny/slide", ["cohort=slides.csv"]).values


def test_show_applies_the_sample_section(call):
    sample = load_config("tiny/slide").values["sample"]
    views = sample["train_dataloader.dataset.views_per_slide"]
    assert f"views_per_slide={views}" in call("config", "show", "tiny/slide")[1]


def test_show_origin_names_file_line_and_override(call, repository, monkeypatch):
    monkeypatch.chdir(repository)
    out = call("config", "show", "gigapath_slide", "--origin", "--set", "model.mask_ratio=0.5")[1]
    lines = {
        line.partition(" = ")[0]: line.partition("  # ")[2].strip() for line in out.splitlines()
    }
    assert lines["model.mask_ratio"] == "--set model.mask_ratio=0.5"
    assert lines["model.encoder.width"].startswith("registry_configs/gigapath_slide.py:")
    assert lines["cohort"].startswith("registry_configs/_base_/data/")


def test_diff_names_dotted_keys(call):
    code, out, _ = call("config", "diff", "gigapath_slide", "tiny/slide")
    assert code == 0
    # as a training would use them: the sample section is applied
    left = load_config("gigapath_slide").values["sample"]["model.encoder.width"]
    right = load_config("tiny/slide").values["model"]["encoder"]["width"]
    assert f"- model.encoder.width = {left}\n+ model.encoder.width = {right}\n" in out
    assert call("config", "diff", "tiny/slide", "tiny/slide") == (0, "", "")


def test_diff_as_json_has_origins(call, repository, monkeypatch):
    monkeypatch.chdir(repository)
    out = call(
        "config", "diff", "tiny/slide", "gigapath_slide", "--json", "--set", "cohort=slides.csv"
    )[1]
    found = {entry["key"]: entry for entry in json.loads(out)}
    depth = found["model.encoder.depth"]
    assert (depth["left"]["value"], depth["right"]["value"]) == (2, 12)
    assert depth["left"]["origin"].startswith("registry_configs/tiny/slide.py:")
    assert "right" not in found["train_cfg.max_steps"]


def test_diff_of_a_run_and_its_recipe(call, tmp_path):
    """What a run's folder holds is the config as trained: only overrides are left to differ."""
    loaded = load_checked("tiny/slide", ["model.mask_ratio=0.5"])
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.py").write_text(rerunnable_text(loaded), encoding="utf-8")
    expected = (0, "- model.mask_ratio = 0.5\n+ model.mask_ratio = 0.75\n", "")
    assert call("config", "diff", str(run), "tiny/slide") == expected
    assert call("config", "diff", str(run), str(run)) == (0, "", "")


def test_a_folder_that_is_no_run_is_told(call, tmp_path):
    code, _, err = call("config", "show", str(tmp_path))
    assert code == 2
    assert "name a recipe's file, or a run's folder" in err


def test_show_and_check_as_json(call, wrong):
    shown = json.loads(call("config", "show", "tiny/slide", "--json")[1])
    assert shown["model"]["encoder"]["width"] == 64
    origins = json.loads(
        call("config", "show", "tiny/slide", "--origin", "--json", "--set", "out=stores")[1]
    )
    assert origins["out"] == {"value": "stores", "origin": "--set out=stores"}
    code, out, _ = call("config", "check", "wrong.py", "tiny/slide", "--json")
    assert code == 2
    found = json.loads(out)
    assert found["tiny/slide"] == []
    assert len(found["wrong.py"]) == 2


def test_tree_in_a_pipe_is_plain_text(call, repository, monkeypatch):
    monkeypatch.chdir(repository)
    code, out, _ = call("config", "tree", "tiny/slide")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "tiny/slide"
    encoder = lines.index(next(line for line in lines if line.startswith("    encoder: LongNet")))
    assert re.fullmatch(
        r"      attention: DilatedAttention \(attention\)  "
        r"\[registry_configs/gigapath_slide.py:\d+\]  LongNet's dilated attention.*",
        lines[encoder + 1],
    )


def test_tree_on_a_terminal_is_drawn(call, monkeypatch):
    monkeypatch.setattr("gigakit.cli.config.sys.stdout.isatty", lambda: True, raising=False)
    out = re.sub(r"\x1b\[[\d;]*m", "", call("config", "tree", "tiny/slide")[1])
    assert "── attention  DilatedAttention attention" in out


def test_tree_as_json(call):
    nodes = {
        node["key"]: node for node in json.loads(call("config", "tree", "tiny/slide", "--json")[1])
    }
    assert nodes["model"]["type"] == "MaskedAutoencoder"
    assert {child["key"] for child in nodes["model"]["children"]} == {"loss", "encoder", "decoder"}
