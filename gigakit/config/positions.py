"""What each place of a config may hold: known keys, kinds of component, or anything."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gigakit.core.catalogue import Catalogue, Component
from gigakit.core.kinds import ARGUMENT_KINDS, KINDS
from gigakit.core.source import Argument


@dataclass(frozen=True)
class Position:
    """What one place of a config may hold.

    Args:
        kinds: registries in which a dict's ``type`` is looked up; empty: any registry.
        default: the component of a dict without ``type``, where there is one.
        keys: keys beside the component's own arguments; without ``kinds`` and ``default`` all keys.
        each: the place holds a dict of any keys whose values are what this describes.
        component: a dict here has to be a component.
        names: a text here is the name of a component of this registry.
    """

    kinds: tuple[str, ...] = ()
    default: str | None = None
    keys: Mapping[str, Position] = field(default_factory=dict)
    each: Position | None = None
    component: bool = False
    names: str | None = None

    @property
    def may_be_empty(self) -> bool:
        """A config that leaves it out means an empty dict."""
        return (
            bool(self.keys and not self.kinds) or self.default is not None or self.each is not None
        )


ANYTHING = Position()


def _kind(name: str, default: str | None = None, **keys: Position) -> Position:
    return Position((name,), default, keys, component=True)


_DATALOADER = Position(
    keys={
        "dataset": _kind("DATASETS"),
        "sampler": _kind("SAMPLERS"),
        "batch_sampler": _kind("SAMPLERS"),
        "collate_fn": _kind("FUNCTIONS"),
        "worker_init_fn": _kind("FUNCTIONS"),
        **dict.fromkeys(
            (
                "batch_size",
                "num_workers",
                "pin_memory",
                "drop_last",
                "timeout",
                "prefetch_factor",
                "persistent_workers",
                "pin_memory_device",
                "multiprocessing_context",
                "in_order",
                "num_batch_per_epoch",
                "disable_subprocess_warning",
            ),
            ANYTHING,
        ),
    }
)
_OPTIM_WRAPPER = _kind(
    "OPTIM_WRAPPERS",
    "OptimWrapper",
    constructor=Position(names="OPTIM_WRAPPER_CONSTRUCTORS"),
    paramwise_cfg=ANYTHING,
)
_SCHEDULE = _kind("PARAM_SCHEDULERS", convert_to_iter_based=ANYTHING)
_HOOK = _kind("HOOKS", priority=ANYTHING)
# the hooks of every run, by the name under which a recipe changes one
DEFAULT_HOOKS = {
    "seed": "StatelessSeedHook",
    "run_info": "RunInfoHook",
    "scalars": "ScalarsHook",
    "progress": "ProgressHook",
    "param_scheduler": "ParamSchedulerHook",
    "checkpoint": "SafeCheckpointHook",
    "signals": "SignalHook",
    "throughput": "ThroughputHook",
}
_EVALUATOR = Position(("METRICS", "EVALUATOR"), keys={"metrics": _kind("METRICS")}, component=True)
_RANDOMNESS = Position(keys=dict.fromkeys(("seed", "diff_rank_seed", "deterministic"), ANYTHING))
_ENVIRONMENT = Position(
    keys=dict.fromkeys(("cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"), ANYTHING)
)

# mmengine's keys are those of Runner.__init__; these say more of some, and add what it reads late
_TOP: dict[str, Position] = {
    "model": _kind("OBJECTIVES"),
    "train_dataloader": _DATALOADER,
    "val_dataloader": _DATALOADER,
    "test_dataloader": _DATALOADER,
    "train_cfg": Position(("LOOPS",), keys={"by_epoch": ANYTHING}, component=True),
    "val_cfg": _kind("LOOPS", "ValLoop"),
    "test_cfg": _kind("LOOPS", "TestLoop"),
    "optim_wrapper": _OPTIM_WRAPPER,
    "param_scheduler": _SCHEDULE,
    "val_evaluator": _EVALUATOR,
    "test_evaluator": _EVALUATOR,
    "default_hooks": Position(
        each=_HOOK,
        keys={
            name: _kind("HOOKS", hook, priority=ANYTHING) for name, hook in DEFAULT_HOOKS.items()
        },
    ),
    "custom_hooks": _HOOK,
    "data_preprocessor": _kind("OBJECTIVES"),
    "visualizer": _kind("VISUALIZERS", "Visualizer"),
    "log_processor": _kind("LOG_PROCESSORS", "LogProcessor"),
    "randomness": _RANDOMNESS,
    "env_cfg": _ENVIRONMENT,
    "model_wrapper_cfg": _kind("MODEL_WRAPPERS", "DataParallelModel"),
    "runner_type": Position(names="RUNNERS"),
    "compile": ANYTHING,
    "efficient_conv_bn_eval": ANYTHING,
    # gigakit's own
    "cohort": ANYTHING,
    "out": ANYTHING,
    "features": ANYTHING,
    "labels": ANYTHING,
    "splits": ANYTHING,
    "target": Position(
        keys=dict.fromkeys(("columns", "kind", "patient_column", "split_column"), ANYTHING)
    ),
    "tiles": _kind("DATASETS", "TileImages"),
    "labelled": _kind("DATASETS", "LabelledTiles"),
    "preparation": _kind("TASKS"),
    "slide_embedding": _kind("TASKS"),
    "weights_files": Position(keys={"preparation": ANYTHING, "slide_embedding": ANYTHING}),
    "sample": ANYTHING,
    "ablation": ANYTHING,
    "ablation_sample": ANYTHING,
    "custom_imports": Position(keys=dict.fromkeys(("imports", "allow_failed_imports"), ANYTHING)),
}


@functools.cache
def _position_of_argument(name: str, *, owner_is_strict: bool) -> Position:
    kinds = ARGUMENT_KINDS.get(name, ())
    return Position(kinds, component=bool(kinds) and owner_is_strict)


@dataclass(frozen=True)
class Fields:
    """The keys a dict may have at its place.

    Args:
        component: the component it describes, if it names a known one.
        positions: what each known key may hold.
        arguments: the component's own arguments by name.
        open: other keys are allowed.
    """

    component: Component | None
    positions: Mapping[str, Position]
    arguments: Mapping[str, Argument]
    open: bool


def top_level(catalogue: Catalogue) -> Position:
    """Return the position of a whole config."""
    keys = dict(_TOP)
    runner = catalogue.components("RUNNERS").get("Runner")
    for argument in runner.arguments if runner else ():
        if argument.name != "cfg":
            keys.setdefault(argument.name, ANYTHING)
    return Position(keys=keys)


def fields_of(value: Mapping[str, Any], position: Position, catalogue: Catalogue) -> Fields:
    """Return the keys that a dict may have at a position."""
    name = component_name(value, position)
    if name is None:
        if position.each is not None:
            named = dict.fromkeys(value, position.each)
            return Fields(None, {**named, **position.keys}, {}, open=True)
        is_open = not position.keys or bool(position.kinds)
        return Fields(None, position.keys, {}, open=is_open)
    component = catalogue.find(name, position.kinds or tuple(KINDS))
    if component is None:
        # nothing can be said of an unknown type's arguments but what their names tell
        named = {key: _position_of_argument(key, owner_is_strict=False) for key in value}
        return Fields(None, {**named, **position.keys}, {}, open=True)
    arguments = {argument.name: argument for argument in component.arguments}
    strict = component.origin == "gigakit"
    positions = {key: _position_of_argument(key, owner_is_strict=strict) for key in arguments}
    positions |= position.keys
    positions["type"] = ANYTHING
    return Fields(component, positions, arguments, component.open)


def component_name(value: Mapping[str, Any], position: Position) -> str | None:
    """Return the name of the component that a dict describes, or ``None``."""
    if position.keys and not position.kinds:
        # a plain section, such as a data loader: a type in it is an unknown key
        return None
    name = value.get("type")
    if name is None and "LOOPS" in position.kinds and "by_epoch" in value:
        return "EpochBasedTrainLoop" if value["by_epoch"] else "IterBasedTrainLoop"
    if name is None and "METRICS" in position.kinds and "metrics" in value:
        return "Evaluator"
    name = position.default if name is None else name
    return name if isinstance(name, str) else None
