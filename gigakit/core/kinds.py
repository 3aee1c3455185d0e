"""The kinds of component: one registry each, its folder, its mmengine root."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of choice that a config can make.

    Args:
        name: the registry's name in ``gigakit.registry``, such as ``ATTENTIONS``.
        label: its name at the command line, such as ``attention``.
        package: the package whose modules register its components.
        root: the mmengine root registry it is a child of, if any.
        inherited: packages of mmengine or torch whose components the root offers too.
        injected: arguments that the engine hands in at build, so a config does not.
        further: other packages of gigakit whose modules register its components too.
    """

    name: str
    label: str
    package: str
    root: str | None = None
    inherited: tuple[str, ...] = ()
    injected: tuple[str, ...] = ()
    further: tuple[str, ...] = ()

    @property
    def packages(self) -> tuple[str, ...]:
        """Every package of gigakit whose modules register its components."""
        return (self.package, *self.further)


_OWN = (
    Kind("READERS", "reader", "gigakit.wsi.readers", injected=("path", "mpp", "index_folder")),
    Kind("SEGMENTERS", "segmenter", "gigakit.wsi.segmenters"),
    Kind("TILERS", "tiler", "gigakit.wsi.tilers"),
    Kind("QUALITIES", "quality", "gigakit.wsi.qualities"),
    Kind("EXECUTORS", "executor", "gigakit.wsi.executors"),
    Kind("ATTENTIONS", "attention", "gigakit.nn.attention"),
    Kind("POSITIONS", "position", "gigakit.nn.positions"),
    Kind("BACKBONES", "backbone", "gigakit.nn.backbones", injected=("input_dim",)),
    Kind("HEADS", "head", "gigakit.nn.heads", injected=("input_dim", "output_dim")),
    Kind(
        "AGGREGATORS",
        "aggregator",
        "gigakit.nn.aggregators",
        injected=("input_dim", "classes"),
    ),
    Kind("MASKINGS", "masking", "gigakit.data.maskings"),
    Kind("LOSSES", "loss", "gigakit.ssl.losses", further=("gigakit.tasks.losses",)),
    Kind("TARGETS", "target", "gigakit.ssl.targets", injected=("prototypes",)),
    Kind("TASKS", "task", "gigakit.tasks"),
)

_CHILDREN = (
    Kind(
        "OBJECTIVES",
        "objective",
        "gigakit.ssl.objectives",
        "MODELS",
        ("mmengine.model",),
        further=("gigakit.tasks.objectives",),
    ),
    Kind("DATASETS", "dataset", "gigakit.data.datasets", "DATASETS", ("mmengine.dataset",)),
    Kind(
        "SAMPLERS",
        "sampler",
        "gigakit.data.samplers",
        "DATA_SAMPLERS",
        ("mmengine.dataset",),
        ("dataset", "seed", "sampler", "batch_size"),
    ),
    Kind("AUGMENTATIONS", "augmentation", "gigakit.data.augmentations", "TRANSFORMS"),
    Kind("METRICS", "metric", "gigakit.tasks.metrics", "METRICS", ("mmengine.evaluator",)),
    Kind("HOOKS", "hook", "gigakit.engine.hooks", "HOOKS", ("mmengine.hooks",)),
    Kind(
        "LOOPS",
        "loop",
        "gigakit.engine.loops",
        "LOOPS",
        ("mmengine.runner",),
        ("runner", "dataloader", "evaluator"),
    ),
    Kind(
        "OPTIM_WRAPPERS",
        "optim-wrapper",
        "gigakit.engine.optim_wrappers",
        "OPTIM_WRAPPERS",
        ("mmengine.optim.optimizer",),
        ("optimizer",),
    ),
    Kind(
        "PARAM_SCHEDULERS",
        "schedule",
        "gigakit.engine.schedules",
        "PARAM_SCHEDULERS",
        ("mmengine.optim.scheduler",),
        ("optimizer",),
    ),
    Kind(
        "OPTIMIZERS",
        "optimizer",
        "gigakit.engine.optimizers",
        "OPTIMIZERS",
        ("torch.optim", "mmengine.optim.optimizer"),
        ("params",),
    ),
    Kind(
        "OPTIM_WRAPPER_CONSTRUCTORS",
        "optim-wrapper-constructor",
        "gigakit.engine.optim_wrappers",
        "OPTIM_WRAPPER_CONSTRUCTORS",
        ("mmengine.optim.optimizer",),
        ("optim_wrapper_cfg", "paramwise_cfg"),
    ),
    Kind(
        "MODEL_WRAPPERS",
        "model-wrapper",
        "gigakit.engine.model_wrappers",
        "MODEL_WRAPPERS",
        ("mmengine.model.wrappers",),
        ("module",),
    ),
    Kind("RUNNERS", "runner", "gigakit.engine.runners", "RUNNERS", ("mmengine.runner",)),
    Kind(
        "RUNNER_CONSTRUCTORS", "runner-constructor", "gigakit.engine.runners", "RUNNER_CONSTRUCTORS"
    ),
    Kind("STRATEGIES", "strategy", "gigakit.engine.strategies", "STRATEGIES"),
    Kind(
        "WEIGHT_INITIALIZERS",
        "weight-initializer",
        "gigakit.nn.initializers",
        "WEIGHT_INITIALIZERS",
        ("mmengine.model",),
    ),
    Kind(
        "EVALUATOR", "evaluator", "gigakit.tasks.evaluators", "EVALUATOR", ("mmengine.evaluator",)
    ),
    Kind("TASK_UTILS", "task-util", "gigakit.tasks.utils", "TASK_UTILS"),
    Kind(
        "VISUALIZERS",
        "visualizer",
        "gigakit.engine.visualization",
        "VISUALIZERS",
        ("mmengine.visualization",),
    ),
    Kind(
        "VISBACKENDS",
        "vis-backend",
        "gigakit.engine.visualization",
        "VISBACKENDS",
        ("mmengine.visualization",),
        ("save_dir",),
    ),
    Kind(
        "LOG_PROCESSORS",
        "log-processor",
        "gigakit.engine.log_processors",
        "LOG_PROCESSORS",
        ("mmengine.runner",),
    ),
    Kind(
        "INFERENCERS", "inferencer", "gigakit.tasks.inferencers", "INFERENCERS", ("mmengine.infer",)
    ),
    Kind(
        "FUNCTIONS",
        "function",
        "gigakit.data.collate",
        "FUNCTIONS",
        ("mmengine.dataset",),
        ("data_batch", "worker_id", "num_workers", "rank", "seed"),
    ),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*_OWN, *_CHILDREN)}

# the kind of component that an argument of another component holds, by the argument's name
ARGUMENT_KINDS: dict[str, tuple[str, ...]] = {
    "aggregator": ("AGGREGATORS",),
    "attention": ("ATTENTIONS",),
    "augmentations": ("AUGMENTATIONS",),
    "backbone": ("BACKBONES",),
    "batch_sampler": ("SAMPLERS",),
    "collate_fn": ("FUNCTIONS",),
    "data_preprocessor": ("OBJECTIVES",),
    "dataset": ("DATASETS",),
    "datasets": ("DATASETS",),
    "decoder": ("HEADS",),
    "encoder": ("BACKBONES",),
    "head": ("HEADS",),
    "loss": ("LOSSES",),
    "losses": ("LOSSES",),
    "masking": ("MASKINGS",),
    "metrics": ("METRICS",),
    "optimizer": ("OPTIMIZERS",),
    "order": ("AUGMENTATIONS",),
    "patch_head": ("HEADS",),
    "photometric": ("AUGMENTATIONS",),
    "pipeline": ("AUGMENTATIONS",),
    "position": ("POSITIONS",),
    "projector": ("HEADS",),
    "quality": ("QUALITIES",),
    "reader": ("READERS",),
    "sampler": ("SAMPLERS",),
    "segmenter": ("SEGMENTERS",),
    "student": ("BACKBONES",),
    "targets": ("TARGETS",),
    "teacher": ("BACKBONES",),
    "tiler": ("TILERS",),
    "tissue_filter": ("AUGMENTATIONS",),
    "transform": ("AUGMENTATIONS",),
    "transforms": ("AUGMENTATIONS",),
    "views": ("AUGMENTATIONS",),
    "vis_backends": ("VISBACKENDS",),
}


def kind_by_label(label: str) -> Kind | None:
    """Return the kind named at the command line, singular or plural, or ``None``."""
    wanted = label.lower().replace("_", "-").removesuffix("s")
    for kind in KINDS.values():
        if wanted in (
            kind.label.removesuffix("s"),
            kind.name.lower().replace("_", "-").removesuffix("s"),
        ):
            return kind
    return None
