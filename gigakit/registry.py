"""Every registry: a child of each mmengine root (scope ``gigakit``) and gigakit's own kinds.

A name is resolved through the catalogue: the one module that registers it is imported, nothing else.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import mmengine.registry as mmengine_registry
from mmengine.registry import Registry as MMEngineRegistry

from gigakit.core.catalogue import components
from gigakit.core.errors import ComponentError
from gigakit.core.kinds import KINDS, Kind


class Registry(MMEngineRegistry):  # type: ignore[misc]
    """A registry that imports just the module of the component asked for, and says where it looked."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        parent = getattr(mmengine_registry, kind.root) if kind.root else None
        super().__init__(kind.label, scope="gigakit", parent=parent)
        if parent is None:
            self.build_func = _build

    def get(self, key: str) -> Callable[..., Any] | None:
        """Return the class or function registered under a name, importing its module if needed."""
        name = key.removeprefix("gigakit.")
        if name not in self._module_dict:
            component = components(self.kind.name, self.kind.package).get(name)
            if component is not None:
                importlib.import_module(component.module)
        found: Callable[..., Any] | None = self._module_dict.get(name)
        if found is None and self.parent is not None:
            for package in self.kind.inherited:
                importlib.import_module(package)
            found = super().get(key)
        return found


def _build(cfg: dict[str, Any], registry: Registry, **default_args: Any) -> Any:
    arguments = {**default_args, **cfg}
    name = arguments.pop("type")
    component = registry.get(name) if isinstance(name, str) else name
    if component is None:
        raise ComponentError(f"'{name}' is not a registered {registry.kind.label}")
    return component(**arguments)


READERS = Registry(KINDS["READERS"])
SEGMENTERS = Registry(KINDS["SEGMENTERS"])
TILERS = Registry(KINDS["TILERS"])
ATTENTIONS = Registry(KINDS["ATTENTIONS"])
POSITIONS = Registry(KINDS["POSITIONS"])
BACKBONES = Registry(KINDS["BACKBONES"])
HEADS = Registry(KINDS["HEADS"])
MASKINGS = Registry(KINDS["MASKINGS"])
LOSSES = Registry(KINDS["LOSSES"])
TASKS = Registry(KINDS["TASKS"])
OBJECTIVES = Registry(KINDS["OBJECTIVES"])
DATASETS = Registry(KINDS["DATASETS"])
SAMPLERS = Registry(KINDS["SAMPLERS"])
AUGMENTATIONS = Registry(KINDS["AUGMENTATIONS"])
METRICS = Registry(KINDS["METRICS"])
HOOKS = Registry(KINDS["HOOKS"])
LOOPS = Registry(KINDS["LOOPS"])
OPTIM_WRAPPERS = Registry(KINDS["OPTIM_WRAPPERS"])
PARAM_SCHEDULERS = Registry(KINDS["PARAM_SCHEDULERS"])
OPTIMIZERS = Registry(KINDS["OPTIMIZERS"])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(KINDS["OPTIM_WRAPPER_CONSTRUCTORS"])
MODEL_WRAPPERS = Registry(KINDS["MODEL_WRAPPERS"])
RUNNERS = Registry(KINDS["RUNNERS"])
RUNNER_CONSTRUCTORS = Registry(KINDS["RUNNER_CONSTRUCTORS"])
STRATEGIES = Registry(KINDS["STRATEGIES"])
WEIGHT_INITIALIZERS = Registry(KINDS["WEIGHT_INITIALIZERS"])
EVALUATOR = Registry(KINDS["EVALUATOR"])
TASK_UTILS = Registry(KINDS["TASK_UTILS"])
VISUALIZERS = Registry(KINDS["VISUALIZERS"])
VISBACKENDS = Registry(KINDS["VISBACKENDS"])
LOG_PROCESSORS = Registry(KINDS["LOG_PROCESSORS"])
INFERENCERS = Registry(KINDS["INFERENCERS"])
FUNCTIONS = Registry(KINDS["FUNCTIONS"])
