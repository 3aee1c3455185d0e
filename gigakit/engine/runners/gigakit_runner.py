"""mmengine's Runner with safe checkpoints, exact resume, one folder a run and a quiet screen."""

from __future__ import annotations

import inspect
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine.device import get_device
from mmengine.model import BaseModule, is_model_wrapper
from mmengine.optim import _ParamScheduler
from mmengine.runner import Runner
from rich.console import Console

from gigakit import __version__
from gigakit.config.positions import DEFAULT_HOOKS
from gigakit.core.errors import CheckpointError
from gigakit.core.files import write_text
from gigakit.engine import compat, processes
from gigakit.engine.activation_checkpointing import checkpoint_activations
from gigakit.engine.checkpoint import find_resume, load_checkpoint, save_checkpoint
from gigakit.engine.init_from import init_from
from gigakit.engine.resources import Stopwatch
from gigakit.engine.screen import ScreenHandler, send_records
from gigakit.engine.sharding import sharded_layout
from gigakit.engine.signals import StopSignals
from gigakit.registry import FUNCTIONS, MODEL_WRAPPERS, PARAM_SCHEDULERS, RUNNERS


@RUNNERS.register_module()
class GigakitRunner(Runner):
    """Drive one training run.

    Built with ``GigakitRunner.from_cfg``; what it takes is mmengine's. A recipe names only the
    default hooks it changes. Set before :meth:`train`: ``banner`` (lines shown at the start) and
    ``config_text`` (what ``config.py`` holds).

    Differs from mmengine's Runner: ``load_from`` is strict about how much of the model it fills;
    ``resume`` takes the newest valid checkpoint and never executes code from it; log, config,
    TensorBoard events and checkpoints lie in the run's folder itself.
    """

    banner: Sequence[str] = ()
    config_text = ""
    start_note = ""
    model: torch.nn.Module

    @property
    def work_path(self) -> Path:
        """Folder of the run."""
        return Path(self.work_dir)

    @property
    def objective(self) -> torch.nn.Module:
        """The objective, without what wraps it for several processes."""
        module: torch.nn.Module = getattr(self.model, "module", self.model)
        return module

    @property
    def experiment_name(self) -> str:
        """Name of the run as TensorBoard shows it: the last two folders."""
        return "/".join(self.work_path.parts[-2:])

    @property
    def model_name(self) -> str:
        """Name of the objective, whatever wraps it."""
        # fully_shard puts its own class before the objective's
        return type(self.objective).__name__.removeprefix("FSDP")

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """Note what the run needs of its environment; the processes have joined before."""
        self._distributed = processes.is_distributed()
        super().setup_env(env_cfg)
        # mmengine appends this to the work directory and to the name of the run
        self._timestamp = "."
        self.stop_signals = StopSignals()
        self.stopwatch = Stopwatch()
        self.console = Console(stderr=True)

    def build_logger(
        self,
        log_level: int | str = "INFO",
        log_file: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Log to ``train.log``, gigakit's own messages too, and show warnings on the screen."""
        logger = super().build_logger(
            log_level,
            log_file or str(self.work_path / "train.log"),
            logger_name="gigakit",
            **kwargs,
        )
        compat.quieten(logger, ScreenHandler(self.console))
        send_records("gigakit", logger.handlers)
        return logger

    def build_visualizer(self, visualizer: Any = None) -> Any:
        """Write TensorBoard events into the run's folder itself."""
        config = dict(visualizer or {"type": "Visualizer"})
        backends = config.get("vis_backends") or [{"type": "TensorBoardBackend"}]
        config["vis_backends"] = [{"save_dir": self.work_dir, **backend} for backend in backends]
        return super().build_visualizer(config)

    @staticmethod
    def build_dataloader(
        dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False
    ) -> Any:
        """Build a loader; mmengine looks for collate functions among its own alone.

        Batches lie in pinned memory where there is a GPU, unless the recipe says otherwise.
        """
        if isinstance(dataloader, dict):
            collate = dict(dataloader.get("collate_fn") or {"type": "default_collate"})
            if isinstance(collate["type"], str):
                collate["type"] = FUNCTIONS.get(collate["type"])
            pinned = torch.cuda.is_available()
            dataloader = {"pin_memory": pinned, **dataloader, "collate_fn": collate}
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def register_default_hooks(self, hooks: dict[str, Any] | None = None) -> None:
        """Register gigakit's hooks; a recipe changes one by its name, or drops it with ``None``."""
        for name, hook in {**{key: {} for key in DEFAULT_HOOKS}, **(hooks or {})}.items():
            if isinstance(hook, dict):
                given = {"type": DEFAULT_HOOKS[name]} if name in DEFAULT_HOOKS else {}
                self.register_hook({**given, **hook})
            elif hook is not None:
                self.register_hook(hook)

    def dump_config(self) -> None:
        """Do nothing: :meth:`train` writes ``config.py``."""

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: torch.nn.Module) -> Any:
        """Share the model with the other processes, or move it to this one's device."""
        config = dict(model_wrapper_cfg or {"type": "DataParallelModel"})
        if is_model_wrapper(model):
            return model
        # every process draws the same weights, before it may hold a part of them only
        if isinstance(model, BaseModule):
            model.init_weights()  # type: ignore[no-untyped-call]  # mmengine's, untyped
        if self.distributed:
            return MODEL_WRAPPERS.build(config, default_args={"module": model})
        if model_wrapper_cfg is not None:
            self.logger.warning("%s needs several processes: not used by this one", config["type"])
        if config.get("activation_checkpointing"):
            checkpoint_activations(model)
        return model.to(get_device())

    def train(self) -> torch.nn.Module:
        """Train to the end, or until a signal asks to stop.

        Raises:
            InterruptedRunError: SIGINT or SIGTERM was received; the checkpoint is written.
        """
        if self.rank == 0 and self.config_text:
            write_text(self.work_path / "config.py", self.config_text)
        with self.stop_signals:
            model: torch.nn.Module = super().train()
        return model

    def load_or_resume(self) -> None:
        """Go on from the newest valid checkpoint, or start from given weights."""
        if self._has_loaded:
            return
        self._has_loaded = True
        # one rank decides, since a file may look whole to one machine and not to another
        path = processes.on_first(lambda: find_resume(self.work_path)) if self._resume else None
        if path is not None:
            self.resume(str(path))
            self.start_note = f"resumed after step {self.iter}, from {path.name}"
            self._compare_batch()
        elif self._load_from is not None:
            report = init_from(self.objective, Path(self._load_from))
            self.start_note = f"weights of {self._load_from}: {report}"
        elif self._resume:
            self.start_note = "no valid checkpoint to resume: from the beginning"

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = "cpu",
        strict: bool = True,
        revise_keys: Sequence[Any] = (),
    ) -> dict[str, Any]:
        """Load a checkpoint of this very model into it, and return it.

        Raises:
            CheckpointError: damaged, not of this model, or not a run's.
        """
        # tensors go to host memory first: the model and the optimiser move their own
        del map_location, revise_keys
        optimizer: Any = self.optim_wrapper
        layout = sharded_layout(self.objective, optimizer.optimizer)
        checkpoint = load_checkpoint(Path(filename), layout)
        missing = {"meta", "state_dict", "message_hub"} - checkpoint.keys()
        if missing:
            raise CheckpointError(
                f"is no checkpoint of a run (it has no {min(missing)})",
                where=filename,
                fix="--init-from starts from its weights",
            )
        if "draws" not in checkpoint["meta"]:
            written_by = checkpoint["meta"].get("versions", {}).get("gigakit", "unknown")
            raise CheckpointError(
                f"is of gigakit {written_by}, whose runs this one cannot go on with",
                where=filename,
                fix="--init-from starts from its weights",
            )
        if checkpoint["meta"]["seed"] != self.seed:
            raise CheckpointError(
                f"was made with seed {checkpoint['meta']['seed']}, the recipe has {self.seed}",
                where=filename,
                fix="resume with the same randomness.seed, or start another run",
            )
        checkpoint["message_hub"] = compat.message_hub_from_state(checkpoint["message_hub"])
        self.stopwatch.add(*checkpoint.get("spent", (0.0, 0.0)))
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        meta = checkpoint["meta"]
        self.train_loop.go_on(meta["iter"], meta["draws"])
        self._draws_per_step_before = meta["draws_per_step"]
        try:
            self.objective.load_state_dict(checkpoint["state_dict"], strict=strict)
        except RuntimeError as error:
            raise CheckpointError(
                f"is of another model ({' '.join(str(error).split())[:300]})", where=filename
            ) from error
        return checkpoint

    def save_training_state(self, step: int, *, keep: int) -> None:
        """Write the checkpoint of a step; all ranks call it."""
        optim_wrapper: Any = self.optim_wrapper
        schedules: Any = self.param_schedulers or ()
        dataset = self.train_loop.dataloader.dataset
        checkpoint = {
            "meta": {
                "dataset_meta": getattr(dataset, "metainfo", None),
                "iter": step,
                "draws": self.train_loop.draws_at(step),
                "draws_per_step": self.train_loop.draws_per_step,
                "epoch": step // self.train_loop.steps_per_epoch,
                "seed": self.seed,
                "experiment_name": self.experiment_name,
                "versions": versions(),
            },
            "state_dict": self.objective.state_dict(),
            "message_hub": compat.message_hub_state(self.message_hub),
            "optimizer": optim_wrapper.state_dict(),
            "param_schedulers": [schedule.state_dict() for schedule in schedules],
            "spent": [self.stopwatch.seconds, self.stopwatch.cpu_seconds],
        }
        self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
        save_checkpoint(checkpoint, self.work_path, step, keep=keep)

    def close(self) -> None:
        """Close the bar and the writers, whatever ended the run."""
        for hook in self.hooks:
            if hasattr(hook, "close"):
                hook.close()
        self.visualizer.close()

    def _init_model_weights(self) -> None:
        """Do nothing: :meth:`wrap_model` has done it, and mmengine's exchange fits no shards."""

    def _build_param_scheduler(self, scheduler: Any, optim_wrapper: Any) -> list[Any]:
        """Build schedules; gigakit's are told the steps of the loop, mmengine's take their own."""
        loop = self.train_loop
        counts = {
            "total_steps": loop.max_iters,
            "steps_per_epoch": loop.steps_per_epoch,
            "leftover_steps": loop.plan.leftover_steps,
        }
        configs = scheduler if isinstance(scheduler, list | tuple) else [scheduler]
        return [
            # mmengine builds them once more at resume
            config
            if isinstance(config, _ParamScheduler)
            else _build_schedule(config, optim_wrapper, counts)
            for config in configs
        ]

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        self.logger.info("environment %s %s", versions(), env_cfg)

    def _compare_batch(self) -> None:
        before, now = self._draws_per_step_before, self.train_loop.draws_per_step
        if before != now:
            self.logger.warning(
                "a step took %s samples before the resume and takes %s now: the result is not that "
                "of an uninterrupted run",
                before,
                now,
            )


def _build_schedule(config: dict[str, Any], optim_wrapper: Any, counts: dict[str, float]) -> Any:
    kind = PARAM_SCHEDULERS.get(config["type"])
    accepted = inspect.signature(kind).parameters if kind is not None else {}
    open_counts = {
        name: value
        for name, value in counts.items()
        if name in accepted and config.get(name) is None
    }
    return PARAM_SCHEDULERS.build({**config, **open_counts, "optimizer": optim_wrapper})


def versions() -> dict[str, str]:
    """Return the versions that a run's numbers depend on."""
    return {
        "gigakit": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "mmengine": str(mmengine.version.__version__),
    }
