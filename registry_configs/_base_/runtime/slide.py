"""Runs of slide encoders: monitors, and pictures of slides."""

_base_ = ["default.py"]

custom_hooks = [
    dict(type="LossSpikeHook", window_steps=200),
    dict(type="CollapseHook", interval_steps=100),
    dict(type="OverviewPictureHook", slides=4),
    dict(type="ReconstructionPictureHook", slides=2),
    dict(type="AttentionPictureHook", slides=2),
    dict(type="AttentionPatternHook"),
]
