"""Runs of slide-level tasks: predictions at the end; selection by validation where it is asked for."""

_base_ = ["default.py"]

default_hooks = dict(
    predictions=dict(type="PredictionsHook"),
    # None: the last weights, as published. Or, by validation data alone:
    best=None,  # dict(type="BestWeightsHook", metric="slides/macro_auroc", better="greater")
    early_stop=None,  # dict(type="EarlyStopHook", metric=..., better=..., patience=5)
)
