"""Every registry: a child of each mmengine root (scope ``gigakit``) and gigakit's own kinds.

A name is resolved through the catalogue: the module that registers it is imported, nothing else.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, cast

import mmengine.registry as mmengine_registry
from mmengine.registry import Registry as MMEngineRegistry

from gigakit.core.catalogue import Catalogue, Component, components, unknown_component
from gigakit.core.errors import ComponentError
from gigakit.core.kinds import KINDS, Kind

# the components under construction, outermost first: a nested failure names all of them
_BUILDING: ContextVar[tuple[str, ...]] = ContextVar("_BUILDING", default=())


class Registry(MMEngineRegistry):
    """A registry that imports just the module of the component asked for, and says where it looked.

    Differs: an unknown name is an error of :meth:`get`, where mmengine returns ``None`` and its
    callers raise one that names neither the places nor a near name. A registered name shadows
    mmengine's of the same name.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        parent = getattr(mmengine_registry, kind.root) if kind.root else None
        super().__init__(kind.label, scope="gigakit", parent=parent)

    def __contains__(self, key: object) -> bool:
        try:
            return self.get(str(key)) is not None
        except ComponentError:
            return False

    def get(self, key: str) -> Callable[..., Any]:  # type: ignore[override]
        """Return the class or function of a name, importing its module if needed.

        Args:
            key: a registered name, ``mmengine.Name``, or a full path such as ``torch.nn.GELU``.

        Raises:
            ComponentError: the name is not registered, or its module cannot be imported.
        """
        name = key.removeprefix("gigakit.")
        if name not in self._module_dict:
            own = components(self.kind.name, *self.kind.packages).get(name)
            if own is not None:
                _import(own)
        if name in self._module_dict:
            found: Callable[..., Any] = self._module_dict[name]
            return found
        return self._get_elsewhere(key, name)

    def build(self, cfg: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Build the component that a config describes.

        Args:
            cfg: its ``type`` and arguments.
            args: handed to mmengine's build function.
            kwargs: for gigakit's own kinds further arguments, over which the config's win; for
                mmengine's kinds what its build function takes, such as ``default_args``.

        Raises:
            ComponentError: an unknown name, unfitting arguments, or a value that is refused.
        """
        label = f"{self.kind.label} {_name(cfg)}"
        with _under_construction(label):
            if self.parent is None:
                return self._build_own(cfg, kwargs)
            return super().build(cast("dict[str, Any]", cfg), *args, **kwargs)

    def _get_elsewhere(self, key: str, name: str) -> Callable[..., Any]:
        catalogue = Catalogue()
        component = catalogue.components(self.kind.name).get(key.removeprefix("mmengine."))
        if component is not None:
            _import(component, self.kind.inherited)
        elif "." not in name:
            raise unknown_component(name, self.kind, catalogue)
        try:
            found: Callable[..., Any] | None = self._module_dict.get(name) or super().get(key)
        except (RuntimeError, ImportError) as error:
            raise unknown_component(key, self.kind, catalogue) from error
        if found is None:
            raise unknown_component(key, self.kind, catalogue)
        return found

    def _build_own(self, cfg: Mapping[str, Any], further: Mapping[str, Any]) -> Any:
        # mmengine's build function imports its logging, and with it torch
        arguments = {**further, **cfg}
        component = arguments.pop("type", None)
        if isinstance(component, str):
            component = self.get(component)
        if not callable(component):
            raise ComponentError(
                "a config needs a type", fix=f"see: gigakit list {self.kind.label}"
            )
        try:
            inspect.signature(component).bind(**arguments)
        except TypeError as error:
            raise ComponentError(
                f"{component.__name__}: {error}", fix=f"see: gigakit list {self.kind.label}"
            ) from error
        return component(**arguments)


def _import(component: Component, inherited: tuple[str, ...] = ()) -> None:
    """Import what registers a component; for mmengine's own that is all packages of the kind."""
    modules = inherited if component.origin in inherited else (component.module,)
    try:
        for module in modules:
            importlib.import_module(module)
    except ImportError as error:
        raise ComponentError(
            f"{component.name} is in {component.module}, which cannot be imported: {error}",
            where=f"{component.file}:{component.line}",
            fix="install what is missing, or mend the import",
        ) from error


@contextlib.contextmanager
def _under_construction(label: str) -> Iterator[None]:
    """Name the components under construction in every error of a constructor."""
    path = (*_BUILDING.get(), label)
    token = _BUILDING.set(path)
    try:
        yield
    except ComponentError as error:
        if error.where is None:
            error.where = " > ".join(path)
        raise
    except (TypeError, ValueError) as error:
        raise ComponentError(
            f"{type(error).__name__}: {error}", where=" > ".join(path), fix="see its docstring"
        ) from error
    except Exception as error:
        error.add_note(f"while building {' > '.join(path)}")
        raise
    finally:
        _BUILDING.reset(token)


def _name(cfg: Mapping[str, Any]) -> str:
    component = cfg.get("type", "?") if isinstance(cfg, Mapping) else type(cfg).__name__
    return component if isinstance(component, str) else getattr(component, "__name__", "?")


READERS = Registry(KINDS["READERS"])
SEGMENTERS = Registry(KINDS["SEGMENTERS"])
TILERS = Registry(KINDS["TILERS"])
QUALITIES = Registry(KINDS["QUALITIES"])
EXECUTORS = Registry(KINDS["EXECUTORS"])
ATTENTIONS = Registry(KINDS["ATTENTIONS"])
POSITIONS = Registry(KINDS["POSITIONS"])
BACKBONES = Registry(KINDS["BACKBONES"])
HEADS = Registry(KINDS["HEADS"])
AGGREGATORS = Registry(KINDS["AGGREGATORS"])
MASKINGS = Registry(KINDS["MASKINGS"])
LOSSES = Registry(KINDS["LOSSES"])
TARGETS = Registry(KINDS["TARGETS"])
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
