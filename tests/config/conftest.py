"""Small configs for the tests of reading, overriding and checking."""

from __future__ import annotations

import textwrap

import pytest


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes a config into the current folder and returns its path."""
    monkeypatch.chdir(tmp_path)

    def write_config(text, name="recipe.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    return write_config


@pytest.fixture
def recipe(write):
    """Return a config of real components without a problem."""
    return write(
        """
        model = dict(
            type="MaskedAutoencoder",
            mask_ratio=0.75,
            encoder=dict(
                type="LongNet",
                attention=dict(
                    type="DilatedAttention", segment_lengths=[4, 8], dilation_ratios=[1, 2]
                ),
            ),
            decoder=dict(type="MaskedDecoder"),
        )
        train_dataloader = dict(
            batch_size=1,
            num_workers=0,
            sampler=dict(type="DefaultSampler", shuffle=True),
            dataset=dict(type="SlideFeatures", augmentations=[dict(type="FlipGrid", p=0.5)]),
        )
        train_cfg = dict(by_epoch=False, max_iters=10)
        optim_wrapper = dict(optimizer=dict(type="AdamW", lr=1e-3, betas=(0.9, 0.95)))
        param_scheduler = [dict(type="LinearLR", start_factor=0.1)]
        default_hooks = dict(logger=dict(type="LoggerHook", interval=1))
        custom_hooks = [dict(type="EMAHook", anything=1, priority="LOW")]
        cohort = "sample"
        sample = {"train_dataloader.dataset.views_per_slide": 27}
        """
    )
