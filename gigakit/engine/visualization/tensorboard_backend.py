"""TensorBoard: one writer in the run's own folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mmengine.visualization import TensorboardVisBackend
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from gigakit.registry import VISBACKENDS


@VISBACKENDS.register_module()
class TensorBoardBackend(TensorboardVisBackend):
    """Write scalars, pictures and the config's text into the folder that names the run.

    Use it through the visualizer: ``runner.visualizer.add_image(tag, image_HW3, step=...)`` and
    ``runner.visualizer.get_backend("TensorBoardBackend").experiment`` for torch's SummaryWriter.

    Args:
        save_dir: folder of the run; handed in by the runner.

    Differs: mmengine writes into a time-stamped sub-folder, tags without ``train/`` and ``val/``.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir)
        self._purge_step: int | None = None

    def open(
        self, config_text: str, step: int, again: Mapping[str, float | None] | None = None
    ) -> None:
        """Start writing; what an earlier part of the run logged beyond ``step`` is hidden.

        Args:
            config_text: the run's config.
            step: steps done.
            again: scalars of ``step`` itself, where what was logged of it is hidden too: written
                once more. By default it stays.
        """
        if getattr(self, "_env_initialized", False):
            return
        # a run killed before its first checkpoint begins anew: what it logged goes too
        self._purge_step = step + 1 if step and again is None else step
        writer: SummaryWriter = self.experiment
        if again:
            finite = {tag: math.nan if value is None else value for tag, value in again.items()}
            self.add_scalars(finite, step=step)
        if not step:
            writer.add_text("config", f"```python\n{config_text}\n```")

    def flush(self) -> None:
        """Hand everything logged so far to the operating system, which outlives this process."""
        self.experiment.flush()

    def add_scalars(
        self,
        scalar_dict: dict[str, float],
        step: int = 0,
        file_path: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the scalars of a step as one event: a seventh of the time of one event each."""
        # for files of other backends
        del file_path, kwargs
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalar_dict.items()]
        self.experiment.file_writer.add_summary(Summary(value=values), step)

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Do nothing: the text is written by :meth:`open`, once."""

    def _init_env(self) -> None:
        self._tensorboard = SummaryWriter(self._save_dir, purge_step=self._purge_step)
