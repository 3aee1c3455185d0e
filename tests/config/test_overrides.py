"""Overrides: what may be set, what is refused, and which one wins."""

from __future__ import annotations

import pytest

from gigakit.config import apply_section, load_checked, load_config, uses_sample
from gigakit.core.errors import ConfigError


def _get(loaded, key):
    value = loaded.values
    for part in key.split("."):
        value = value[int(part) if part.isdigit() else part]
    return value


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("model.mask_ratio=0.5", "model.mask_ratio", 0.5),
        ("optim_wrapper.optimizer.lr=1e-4", "optim_wrapper.optimizer.lr", 1e-4),
        ("cohort=slides.csv", "cohort", "slides.csv"),
        ("cohort=a=b", "cohort", "a=b"),
        ("train_dataloader.sampler.shuffle=false", "train_dataloader.sampler.shuffle", False),
        ("param_scheduler.0.start_factor=1", "param_scheduler.0.start_factor", 1),
        ("custom_hooks.0.priority=HIGH", "custom_hooks.0.priority", "HIGH"),
        ("custom_hooks=[]", "custom_hooks", []),
        # a hook of every run, which the recipe need not name
        ("default_hooks.progress.interval_steps=5", "default_hooks.progress.interval_steps", 5),
        ("model.encoder.attention=null", "model.encoder.attention", None),
        # arguments and keys that the recipe does not spell
        ("model.encoder.dropout=0", "model.encoder.dropout", 0),
        ("custom_hooks.0.momentum=0.1", "custom_hooks.0.momentum", 0.1),
        ("train_cfg.val_interval=5", "train_cfg.val_interval", 5),
        ("randomness.seed=3", "randomness.seed", 3),
        ("val_cfg.fp16=True", "val_cfg.fp16", True),
        ("optim_wrapper.clip_grad={'max_norm': 1.0}", "optim_wrapper.clip_grad.max_norm", 1.0),
        (
            "default_hooks.checkpoint=dict(type='CheckpointHook')",
            "default_hooks.checkpoint.type",
            "CheckpointHook",
        ),
        ("features=/a/b", "features", "/a/b"),
        (
            "sample.train_dataloader.dataset.views_per_slide=3",
            "sample",
            {"train_dataloader.dataset.views_per_slide": 3},
        ),
    ],
)
def test_what_may_be_set(recipe, text, key, value):
    loaded = load_config(recipe, [text])
    assert _get(loaded, key) == value
    assert type(_get(loaded, key)) is type(value)
    assert loaded.overrides == (text,)
    if not key.startswith(("sample", "optim_wrapper.clip", "default")):
        assert loaded.origin(key) == f"--set {text}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model.mask_ration=0.5",
            "--set model.mask_ration: MaskedAutoencoder has no argument 'mask_ration'; "
            "did you mean 'mask_ratio'?",
        ),
        (
            "modelx.mask_ratio=0.5",
            "--set modelx.mask_ratio: the config has no key 'modelx'; did you mean 'model'?",
        ),
        ("optim_wraper={}", "did you mean 'optim_wrapper'"),
        (
            "train_dataloader.batchsize=1",
            "train_dataloader has no key 'batchsize'; did you mean 'batch_size'?",
        ),
        ("model.encoder=5", "holds a dict, got 5 (int)"),
        ("model.encoder=LongNet", "holds a dict, got 'LongNet' (str)"),
        ("param_scheduler.1.begin=1", "'1' is no index of a list of 1; give 0 to 0"),
        ("param_scheduler.x.begin=1", "'x' is no index"),
        ("model.mask_ratio.x=1", "0.75 (float) has no key 'x'"),
        ("model.mask_ratio.x.y=1", "'model.mask_ratio' is 0.75 (float), it has no keys"),
        ("optim_wrapper.optimizer.betas.0=1", "set the whole value"),
        (
            "model.encoder.position.temperature=1",
            "'model.encoder.position' is not set in this config; give it whole",
        ),
        ("model.encoder.zzzz=1", "LongNet has no argument 'zzzz'; known are attention, "),
        ("default_hooks.progres_.interval_steps=5", "did you mean 'progress'?"),
        ("default_hooks.progress.interval=5", "ProgressHook has no argument 'interval'"),
        ("model.mask_ratio", "write --set key=value"),
        ("=1", "write --set key=value"),
    ],
)
def test_what_is_refused(recipe, text, message):
    with pytest.raises(ConfigError) as caught:
        load_config(recipe, [text])
    assert message in str(caught.value)


def test_all_wrong_overrides_are_told_at_once(recipe):
    with pytest.raises(ConfigError) as caught:
        load_config(recipe, ["modelx=1", "model.mask_ratio=0.1", "model.zz=1"])
    assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == [
        "--set modelx",
        "--set model.zz",
    ]


def test_a_dict_of_the_same_type_merges_and_of_another_replaces(recipe):
    key = "model.encoder.attention"
    same = load_config(recipe, [f"{key}={{'type': 'DilatedAttention', 'backend': 'math'}}"])
    assert _get(same, key) == {
        "type": "DilatedAttention",
        "segment_lengths": [4, 8],
        "dilation_ratios": [1, 2],
        "backend": "math",
    }
    assert same.origin(f"{key}.segment_lengths").startswith("recipe.py:")
    untyped = load_config(recipe, [f"{key}=dict(backend='math')"])
    assert _get(untyped, key) == _get(same, key)
    other = load_config(recipe, [f"{key}=dict(type='FullAttention', backend='flash')"])
    assert _get(other, key) == {"type": "FullAttention", "backend": "flash"}
    deleted = load_config(recipe, [f"{key}=dict(type='DilatedAttention', _delete_=True)"])
    assert _get(deleted, key) == {"type": "DilatedAttention"}


def test_a_later_override_wins(recipe):
    loaded = load_config(recipe, ["model.mask_ratio=0.1", "model.mask_ratio=0.2"])
    assert _get(loaded, "model.mask_ratio") == 0.2


def test_presets_come_before_the_users(recipe):
    preset = {"model.mask_ratio": 0.1, "model.encoder.depth": 2}
    loaded = load_config(recipe, ["model.mask_ratio=0.2"], preset)
    assert _get(loaded, "model.mask_ratio") == 0.2
    assert _get(loaded, "model.encoder.depth") == 2
    assert loaded.origin("model.encoder.depth") == "preset"
    with pytest.raises(ConfigError, match=r"preset: model\.zz: MaskedAutoencoder has no argument"):
        load_config(recipe, (), {"model.zz": 1})


VIEWS = "train_dataloader.dataset.views_per_slide"


def test_the_sample_section_applies_to_the_sample_alone(recipe):
    assert "views_per_slide" not in load_config(recipe).values["train_dataloader"]["dataset"]
    applied = apply_section(load_config(recipe), "sample")
    assert _get(applied, VIEWS) == 27
    assert applied.origin(VIEWS) == "recipe.py:24"
    assert apply_section(applied, "sample") == applied
    for override in ("cohort=slides.csv", "features=folder"):
        loaded = load_config(recipe, [override])
        assert not uses_sample(loaded.values)
        assert apply_section(loaded, "sample") == loaded


def test_the_users_overrides_win_over_the_section(recipe):
    applied = apply_section(load_config(recipe, [f"{VIEWS}=3"]), "sample")
    assert _get(applied, VIEWS) == 3
    replaced = apply_section(load_config(recipe, ["sample={}"]), "sample")
    assert "views_per_slide" not in replaced.values["train_dataloader"]["dataset"]


def test_load_checked_applies_the_section_and_refuses_problems(recipe):
    assert _get(load_checked(recipe), VIEWS) == 27
    assert (
        "views_per_slide"
        not in load_checked(recipe, section=None).values["train_dataloader"]["dataset"]
    )
    with pytest.raises(ConfigError, match=r"LongNet\.depth is int, got 'x'"):
        load_checked(recipe, ["model.encoder.depth=x"])


def test_loading_leaves_nothing_shared(recipe):
    first = load_config(recipe)
    first.values["model"]["mask_ratio"] = 9
    applied = apply_section(first, "sample")
    assert _get(applied, "model.mask_ratio") == 0.75


def test_a_replaced_dict_keeps_what_it_names(recipe):
    new = {
        "type": "ContrastiveLearning",
        "_keep_": ["encoder", "data_preprocessor"],
        "encoder": {"width": 32},
    }
    model = load_config(recipe, [f"model={new!r}"]).values["model"]
    old = load_config(recipe).values["model"]["encoder"]
    assert model == {"type": "ContrastiveLearning", "encoder": {**old, "width": 32}}
    same = load_config(recipe, ["model={'_keep_': ['type']}"]).values["model"]
    assert same == {"type": "MaskedAutoencoder"}
    fresh = load_config(recipe, ["model.loss={'_keep_': ['a'], 'type': 'MaskedEmbeddingLoss'}"])
    assert fresh.values["model"]["loss"] == {"type": "MaskedEmbeddingLoss"}
    with pytest.raises(ConfigError, match="give a list of keys"):
        load_config(recipe, ["model={'_keep_': 'encoder'}"])
