"""Measurements of the representation in a run, and warnings when it collapses."""

import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.engine.hooks.collapse_hook import CollapseHook
from gigakit.engine.train import train
from gigakit.registry import OBJECTIVES

HOOK = {"type": "CollapseHook", "interval_steps": 5}


@pytest.fixture(scope="module")
def watched(toy):
    """Register a toy objective that shows features, and a teacher's targets."""

    @OBJECTIVES.register_module(force=True)
    class WatchedToy(toy.ToyObjective):
        def health(self, x, **_others):
            assert not self.training
            torch.rand(3)
            features = self.blocks[0](x + self.cls_token)
            return {"features": features, "teacher_probs": features.softmax(dim=1)}

    return WatchedToy


def health(toy, folder):
    import json

    rows = [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]
    return [row for row in rows if "health/feature_std" in row]


def test_it_logs_on_the_same_axis_and_changes_nothing(toy, watched, finished, tmp_path):
    model = {"type": "WatchedToy"}
    train(toy.config(model=model, custom_hooks=[HOOK]), work_dir=tmp_path)
    assert toy.digest(tmp_path) == toy.digest(finished)
    rows = health(toy, tmp_path)
    assert [row["step"] for row in rows] == [5, 10, 15, 20, 25]
    assert set(rows[0]) == {
        "step",
        "health/feature_std",
        "health/effective_rank",
        "health/mean_cosine",
        "health/prototype_entropy",
        "health/target_entropy",
    }


def test_two_ranks_measure_together(toy, toy_process, tmp_path):
    assert toy_process(
        tmp_path, processes=2, batch_size=2, hooks=[HOOK], model__type="ShownToy",
        model_wrapper_cfg={"type": "FullyShardedModel"},
    ) == [0, 0]  # fmt: skip
    assert len(health(toy, tmp_path)) == 4


def test_an_objective_without_the_method_is_refused(toy, tmp_path):
    with pytest.raises(ConfigError, match=r"ToyObjective has no method health\(\)"):
        train(toy.config(custom_hooks=[HOOK]), work_dir=tmp_path)


def told(hook, caplog, **numbers):
    caplog.clear()
    complaints = hook._complaints({f"health/{name}": value for name, value in numbers.items()})
    hook._told = sorted(complaints)
    return set(complaints)


def test_what_is_alarming(caplog):
    hook = CollapseHook()
    healthy = {"feature_std": 0.5, "effective_rank": 40.0, "prototype_entropy": 0.9}
    assert told(hook, caplog, **healthy, target_entropy=0.5) == set()
    assert told(hook, caplog, **{**healthy, "feature_std": 0.009}) == {"health/feature_std"}
    # a tenth of the first value
    assert told(hook, caplog, **{**healthy, "effective_rank": 3.9}) == {"health/effective_rank"}
    assert told(hook, caplog, **{**healthy, "prototype_entropy": 0.095}) == {
        "health/prototype_entropy"
    }
    assert told(hook, caplog, **healthy, target_entropy=0.99999) == {"health/target_entropy"}


def test_a_collapse_is_told_once_until_it_has_passed(toy, watched, tmp_path, monkeypatch):
    values = iter([40.0, 1.0, 1.0, 40.0, 1.0])
    monkeypatch.setattr(
        "gigakit.engine.hooks.collapse_hook._numbers",
        lambda _shown: {"health/effective_rank": next(values)},
    )
    train(toy.config(model={"type": "WatchedToy"}, custom_hooks=[HOOK]), work_dir=tmp_path)
    log = (tmp_path / "train.log").read_text().splitlines()
    lines = [line for line in log if "collapses" in line]
    assert [line.partition("step ")[2].partition(":")[0] for line in lines] == ["10", "25"]
    assert "health/effective_rank is 1, under 4 (at first 40): lower the rate" in lines[0]


def test_what_is_low_from_the_start_has_not_collapsed(toy, watched, tmp_path, monkeypatch):
    values = iter([1.1, 1.1, 40.0, 1.1, 40.0])
    monkeypatch.setattr(
        "gigakit.engine.hooks.collapse_hook._numbers",
        lambda _shown: {"health/effective_rank": next(values), "health/target_entropy": 1.0},
    )
    train(toy.config(model={"type": "WatchedToy"}, custom_hooks=[HOOK]), work_dir=tmp_path)
    log = (tmp_path / "train.log").read_text().splitlines()
    told = [line.partition("warning: ")[2] or line for line in log if "step" in line]
    alike = [line for line in told if "nothing is told apart yet" in line]
    assert len(alike) == 1
    assert "step 5: nothing is told apart yet: health/effective_rank is 1.1;" in alike[0]
    assert [line for line in told if "targets are uniform" in line and "fewer prototypes" in line]
    collapsed = [line for line in told if "collapses" in line]
    assert len(collapsed) == 1
    assert "step 20: " in collapsed[0]


def test_the_first_value_survives_a_resume():
    first, second = CollapseHook(), CollapseHook()
    first._complaints({"health/effective_rank": 40.0})
    checkpoint = {}
    first.before_save_checkpoint(None, checkpoint)
    second.after_load_checkpoint(None, checkpoint)
    second.after_load_checkpoint(None, {})
    assert second._complaints({"health/effective_rank": 3.0})


def test_the_masked_autoencoder_shows_each_tile_once():
    model = OBJECTIVES.build(
        {
            "type": "MaskedAutoencoder", "input_dim": 4,
            "encoder": {
                "type": "LongNet", "width": 8, "depth": 1, "heads": 2,
                "attention": {"type": "FullAttention"},
            },
            "decoder": {
                "type": "MaskedDecoder", "width": 8, "depth": 1, "heads": 2,
                "attention": {"type": "FullAttention"},
            },
        }
    ).eval()  # fmt: skip
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    batch = {
        "features": torch.randn(2, 5, 4), "grid": torch.rand(2, 5, 2), "padding_mask": padding,
        "seed": torch.tensor([1, 2]), "slide_id": ["a", "b"],
    }  # fmt: skip
    shown = model.health(**batch)["features"]
    assert shown.shape == (8, 8)
    alone = model.health(
        batch["features"][1:, :3], batch["grid"][1:, :3], torch.zeros(1, 3, dtype=torch.bool)
    )["features"]
    torch.testing.assert_close(shown[5:], alone)


@pytest.mark.parametrize(
    "values", [{"interval_steps": 0}, {"max_samples": 1}, {"smallest_share": 1.0}]
)
def test_unusable_values_are_refused(values):
    with pytest.raises(ConfigError, match=f"CollapseHook.{next(iter(values))}"):
        CollapseHook(**values)
