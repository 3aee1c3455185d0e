"""``gigakit config check | show | diff``."""

from __future__ import annotations

import pytest

from gigakit.config import load_config

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
    left = load_config("gigapath_slide").values["model"]["encoder"]["width"]
    right = load_config("tiny/slide").values["model"]["encoder"]["width"]
    assert f"- model.encoder.width = {left}\n+ model.encoder.width = {right}\n" in out
    assert call("config", "diff", "tiny/slide", "tiny/slide") == (0, "", "")
