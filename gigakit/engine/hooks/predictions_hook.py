"""What a run predicts of its slides, once, at its end."""

from __future__ import annotations

import copy
import logging
from typing import Any

from mmengine.hooks import Hook

from gigakit.engine.hooks.best_weights_hook import best_weights
from gigakit.engine.run_precision import as_in_steps
from gigakit.engine.sharding import like_own
from gigakit.nn.weights import read_weights
from gigakit.registry import HOOKS
from gigakit.tasks.slide_predictions import FILE, predict_slides, write_predictions

LOGGER = logging.getLogger(__name__)


@HOOKS.register_module()
class PredictionsHook(Hook):
    """Write ``predictions.csv`` after training: every slide of the splits val and test.

    The weights are those of ``best.safetensors``, where validation has chosen some, else the last
    ones. Nothing is learnt or chosen from the test split: this is the first time it is read.
    """

    # after the last checkpoint, which has the last weights
    priority = "LOWEST"

    def after_train(self, runner: Any) -> None:
        """Predict and write."""
        loops = {"val": runner.val_loop, "test": runner.test_loop if _has_test(runner) else None}
        loaders = {split: loop.dataloader for split, loop in loops.items() if loop is not None}
        if not loaders:
            return
        model = runner.objective
        last = None
        path = best_weights(runner.work_path)
        if path.is_file():
            own = model.state_dict()
            last = copy.deepcopy(own)
            model.load_state_dict(like_own(read_weights(path), own))
        with as_in_steps(runner):
            # every process predicts: a sharded model needs all of them
            predictions = {
                split: predict_slides(model, loader) for split, loader in loaders.items()
            }
        if last is not None:
            model.load_state_dict(last)
        if runner.rank == 0:
            task = next(iter(loaders.values())).dataset.data.task
            write_predictions(runner.work_path / FILE, task, predictions)
            chosen = path.name if last is not None else "the last weights"
            counts = ", ".join(f"{len(slides)} {split}" for split, slides in predictions.items())
            LOGGER.info("%s: %s slides, by %s", FILE, counts, chosen)


def _has_test(runner: Any) -> bool:
    return runner._test_dataloader is not None
