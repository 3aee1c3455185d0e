"""The views a tile encoder is trained on, in TensorBoard."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from mmengine.hooks import Hook

from gigakit.core.errors import ConfigError
from gigakit.registry import HOOKS
from gigakit.ssl.denormalise import pixels_of
from gigakit.tasks.patch_maps import stacked

_HIDDEN = 128


@HOOKS.register_module()
class ViewPictureHook(Hook):
    """At the start of a run, show the crops of the first batch as the network sees them.

    A row a tile: global crops, their masked patches grey, then local crops. Colours are changed as
    in training, since they follow from the batch's seeds; no random number is used up.

    Args:
        tiles: how many of the batch.

    Cost: the preprocessing of one batch, once.
    """

    priority = "LOW"

    def __init__(self, *, tiles: int = 4) -> None:
        if tiles < 1:
            raise ConfigError(f"got {tiles}", where="ViewPictureHook.tiles", fix="give 1 or more")
        self.tiles = tiles
        self._shown = False

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Add the picture at step 0; a resumed run has it."""
        if self._shown or runner.iter:
            return
        self._shown = True
        preprocessor = runner.objective.data_preprocessor
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            # a copy, since the step takes the batch as it is
            batch = preprocessor(dict(data_batch), True)
        views = {
            name: pixels_of(batch[name][:, : self.tiles], preprocessor)
            for name in ("global_crops", "local_crops")
            if name in batch and batch[name].numel()
        }
        if (masks := batch.get("masks")) is not None:
            views["global_crops"] = _greyed(
                views["global_crops"], masks.cpu().numpy(), batch["global_crops"].shape[1]
            )
        rows = [
            stacked([view for crops in views.values() for view in crops[:, tile]], axis=1)
            for tile in range(views["global_crops"].shape[1])
        ]
        runner.visualizer.add_image("tile/views", stacked(rows, axis=0), step=0)


def _greyed(crops: np.ndarray, masks: np.ndarray, tiles: int) -> np.ndarray:
    """Return crops with their masked patches grey.

    Args:
        crops: ``(V, T, S, S, 3)`` of the first T tiles.
        masks: ``(V tiles, P)`` bool, all tiles of one view after those of another.
        tiles: of the batch.
    """
    side = round(masks.shape[1] ** 0.5)
    shown = crops.copy()
    for view, of_view in enumerate(shown):
        for tile, crop in enumerate(of_view):
            grid = masks[view * tiles + tile].reshape(side, side).astype(np.uint8)
            hidden = cv2.resize(grid, crop.shape[:2], interpolation=cv2.INTER_NEAREST)
            crop[hidden.astype(bool)] = _HIDDEN
    return shown
