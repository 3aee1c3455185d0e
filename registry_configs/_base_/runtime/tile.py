"""Runs of tile encoders by self-distillation: the teacher's schedules, monitors, pictures."""

_base_ = ["default.py"]

custom_hooks = [
    dict(type="FastMatmulHook"),
    dict(type="ObjectiveScheduleHook", key="momentum", base=0.992, final=1.0),
    dict(
        type="ObjectiveScheduleHook",
        key="teacher_temperature",
        base=0.07,
        warmup_epochs=30,
        warmup_start=0.04,
        epochs=30,
    ),
    dict(type="LossSpikeHook", window_steps=200),
    dict(type="CollapseHook", interval_steps=100),
    dict(type="ViewPictureHook"),
    dict(type="FeaturePictureHook", tiles=6),
    dict(type="KeepMemoryHook"),
]
