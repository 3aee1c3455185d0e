"""Fine-tuning as published: parameter groups, learning rates, leftovers of accumulation."""

from __future__ import annotations

import json

import pytest
import torch
from resuming.recipes import resolved

from gigakit.config import load_config
from gigakit.core.errors import ConfigError
from gigakit.engine.checkpoint import find_resume, load_checkpoint
from gigakit.engine.optim_wrappers.parameter_rules import treatments
from gigakit.engine.schedules.warmup_cosine import WarmupCosine
from gigakit.engine.train import train
from gigakit.registry import DATASETS, OBJECTIVES, SAMPLERS

# ours by theirs
NAMES = {"slide_encoder.": "aggregator.encoder.", "classifier.0.": "head.linear."}
SLIDES, WINDOW = 7647, 32


@pytest.fixture(scope="module")
def published(shared):
    path = shared / "reference" / "slide_encoder" / "finetune_param_groups.json"
    return json.loads(path.read_text())


def our_name(theirs):
    prefix = next(prefix for prefix in NAMES if theirs.startswith(prefix))
    return NAMES[prefix] + theirs.removeprefix(prefix)


def found_groups(**changes):
    values = load_config("tasks/panda").values
    with torch.device("meta"):
        model = OBJECTIVES.build({**values["model"], "input_dim": 1536, "output_dim": 6})
    wrapper = values["optim_wrapper"]
    paramwise = {**wrapper["paramwise_cfg"], **changes}
    decay = wrapper["optimizer"]["weight_decay"]
    return {
        name: {"lr_scale": one.lr_mult, "weight_decay": decay * one.wd_mult}
        for name, one in treatments(model, **paramwise).items()
    }


def test_the_panda_recipe_has_exactly_the_published_parameter_groups(published):
    expected = {our_name(name): group for name, group in published["param_groups"].items()}
    assert len(expected) == 249
    found = found_groups()
    assert found.keys() == expected.keys()
    for name, group in expected.items():
        assert found[name] == pytest.approx(group, rel=1e-12), name


def test_without_the_published_fault_patch_embed_is_the_lowest_layer(published):
    found = found_groups(patch_embed_at_full_rate=False)
    faulty = found_groups()
    changed = {name for name in found if found[name] != faulty[name]}
    assert changed == {f"aggregator.encoder.patch_embed.proj.{x}" for x in ("weight", "bias")}
    assert {found[name]["lr_scale"] for name in changed} == {0.95**13}


def test_the_rate_of_each_published_step(published):
    """The rate is set once a window, at the fraction of the epoch that has passed."""
    told = published["lr"]
    values = load_config("tasks/panda").values
    assert values["optim_wrapper"]["optimizer"]["lr"] == told["lr"]
    assert values["train_cfg"]["epochs"] == told["epochs"]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=told["lr"])
    steps = SLIDES // WINDOW
    config = {k: v for k, v in values["param_scheduler"][0].items() if k != "type"}
    schedule = WarmupCosine(
        optimizer,
        total_steps=steps * told["epochs"],
        steps_per_epoch=steps,
        leftover_steps=SLIDES % WINDOW / WINDOW,
        **config,
    )
    compared = 0
    for place, rate in told["samples_epoch_lr"]:
        epoch = int(place)
        window = (place - epoch) * SLIDES / WINDOW
        if epoch == told["epochs"] or abs(window - round(window)) > 1e-6:
            continue
        schedule.last_step = epoch * steps + round(window)
        assert schedule._get_value()[0] == pytest.approx(rate, rel=1e-9), place
        compared += 1
    assert compared > 50


def fine_tuning(cohort, **changes):
    features, table = cohort
    plain = {
        "features": str(features), "labels": str(table), "target.columns": ["label"],
        "target.kind": None,
    }  # fmt: skip
    return resolved("tiny/slide_task", {**plain, **changes})


def weights(folder):
    return load_checkpoint(find_resume(folder))["state_dict"]


MEAN = {
    "model.aggregator": {"type": "MeanPooling", "_delete_": True},
    "optim_wrapper.optimizer": {"type": "SGD", "lr": 0.1, "weight_decay": 0.0, "_delete_": True},
    "optim_wrapper.accumulative_counts": 5,
    "optim_wrapper.paramwise_cfg": {"_delete_": True},
    "param_scheduler": None,
    "train_cfg.epochs": 3,
}


def test_leftover_gradients_join_the_next_epochs_first_step(cohort, tmp_path):
    """Twelve slides in windows of five: two slides an epoch stay in the accumulator."""
    values = fine_tuning(cohort, **MEAN)
    assert train(values, work_dir=tmp_path).steps == 6
    dataset = DATASETS.build(values["train_dataloader"]["dataset"])
    sampler = SAMPLERS.build({"type": "ResumableSampler", "dataset": dataset, "seed": 0})
    torch.manual_seed(1)
    model = OBJECTIVES.build(values["model"])
    # the run's own start: none of it is trained twice
    start = fine_tuning(cohort, **{**MEAN, "train_cfg.max_steps": 1})
    start["optim_wrapper"]["optimizer"]["lr"] = 0.0
    train(start, work_dir=tmp_path / "start")
    model.load_state_dict(weights(tmp_path / "start"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(3):
        for place in range(12):
            draw = epoch * 12 + place
            item = dataset[sampler.index(draw), draw]
            losses = model(
                item["features"][None], item["grid"][None], label=item["label"][None], mode="loss"
            )
            (losses["loss"] / 5).backward()
            if (place + 1) % 5 == 0:
                optimizer.step()
                optimizer.zero_grad()
    found = weights(tmp_path)
    for name, value in model.state_dict().items():
        assert torch.allclose(found[name], value, atol=1e-6), name


def test_without_carrying_windows_run_over_the_border_of_epochs(cohort, tmp_path):
    values = fine_tuning(cohort, **{**MEAN, "train_cfg.carry_leftovers": False})
    assert train(values, work_dir=tmp_path).steps == 9


@pytest.mark.parametrize(
    "change", [{"train_dataloader.batch_size": 2}, {"optim_wrapper.accumulative_counts": 13}]
)
def test_leftovers_that_cannot_be_carried_are_refused(cohort, tmp_path, change):
    with pytest.raises(ConfigError, match="carry_leftovers"):
        train(fine_tuning(cohort, **{**MEAN, **change}), work_dir=tmp_path)
