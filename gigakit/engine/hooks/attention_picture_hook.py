"""What the slide encoder's cls token attends to, in TensorBoard."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from gigakit.engine.run_precision import as_in_steps
from gigakit.nn.attention.inspection import attention_weights, captured_inputs
from gigakit.registry import HOOKS
from gigakit.ssl.health import ReportsHealth
from gigakit.tasks.attention_pictures import attention_picture
from gigakit.wsi.tiles import TileTable

LOGGER = logging.getLogger(__name__)


@HOOKS.register_module()
class AttentionPictureHook(Hook):
    """At each validation, draw the weights that cls gives the tiles of some slides.

    All tiles are shown to the encoder, none is hidden. The weights are those of one block, the mean
    over its heads, exact for any attention variant. They are drawn over the slide's overview where
    its tiles are at hand, else on the tile grid. A network without ``encoder.attention`` has no
    such picture, which is logged once.

    Args:
        folder: folder of overview pictures, beside the tile files; ``None`` in a recipe takes the
            preparation's.
        slides: how many slides to draw, the first ones of the validation set.
        block: which block's attention, from 0; -1 is the last.
        max_tokens: a longer slide is left out, which is logged.

    Cost: a forward pass of the encoder a slide, and a backward pass of one attention.
    """

    priority = "LOW"

    def __init__(
        self,
        *,
        folder: str | None = None,
        slides: int = 2,
        block: int = -1,
        max_tokens: int = 20_000,
    ) -> None:
        self.folder = Path(folder) if folder is not None else None
        self.slides, self.block, self.max_tokens = slides, block, max_tokens
        self._pictures: dict[str, np.ndarray] = {}
        self._told: set[str] = set()

    def before_val_epoch(self, runner: Runner) -> None:
        """Start anew."""
        self._pictures = {}

    def after_val_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        """Draw the first slide of each of the first batches; all ranks do the same number."""
        if batch_idx >= self.slides or not outputs:
            return
        variant = attention_of(runner.objective)
        if variant is None:
            self._tell("the network has no encoder.attention: no picture of its attention")
            return
        sample = outputs[0]
        tiles = {key: sample[key].unsqueeze(0) for key in ("features", "grid")}
        with captured_inputs(variant, self.block) as inputs:
            self._run(runner, tiles)
        if inputs and inputs[0].shape[1] <= self.max_tokens:
            self._draw(sample, variant, inputs)
        else:
            tokens = inputs[0].shape[1] if inputs else 0
            self._tell(f"{sample['slide_id']} has {tokens} tokens: no picture of its attention")

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Show the pictures; a validation that is cut short, and made again, shows none."""
        for slide_id, picture in self._pictures.items():
            runner.visualizer.add_image(f"slide/attention/{slide_id}", picture, step=runner.iter)

    @torch.no_grad()
    def _run(self, runner: Any, tiles: dict[str, Tensor]) -> None:
        features = tiles["features"]
        padding = torch.zeros(features.shape[:2], dtype=torch.bool, device=features.device)
        with as_in_steps(runner):
            runner.objective.health(**tiles, padding_mask=padding)

    def _draw(self, sample: dict[str, Any], variant: nn.Module, inputs: list[Tensor]) -> None:
        # cls is the first token
        q, k = inputs
        weights = attention_weights(variant, q, k, [0])[0, 1:].float().mean(dim=-1)
        name = sample["slide_id"]
        self._pictures[name] = attention_picture(
            weights.cpu().numpy(), sample["grid"].cpu().numpy(), **self._background(name)
        )

    def _background(self, slide_id: str) -> dict[str, Any]:
        if self.folder is None:
            return {}
        picture = cv2.imread(str(self.folder / f"{slide_id}.jpg"))
        tiles = self.folder.parent / f"{slide_id}.h5"
        if picture is None or not tiles.is_file():
            return {}
        return {
            "overview": cv2.cvtColor(picture, cv2.COLOR_BGR2RGB),
            "table": TileTable.load(tiles),
        }

    def _tell(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            LOGGER.info(line)


def attention_of(objective: object) -> nn.Module | None:
    """Return the slide encoder's attention variant, if the objective has such an encoder."""
    variant = getattr(getattr(objective, "encoder", None), "attention", None)
    shows = isinstance(variant, nn.Module) and isinstance(objective, ReportsHealth)
    return variant if shows else None
