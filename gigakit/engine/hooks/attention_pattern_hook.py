"""Which tokens the slide encoder's attention links, in TensorBoard."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from torch import nn

from gigakit.engine.hooks.attention_picture_hook import attention_of
from gigakit.nn.attention.inspection import attention_weights
from gigakit.registry import HOOKS
from gigakit.tasks.attention_pictures import beside, pattern_picture, reach_picture

LOGGER = logging.getLogger(__name__)

_COLUMNS = 256


@HOOKS.register_module()
class AttentionPatternHook(Hook):
    """At the start of a run, show what the attention variant links on a slide of the cohort.

    Left: the keys that queries reach, on the slide's first tokens. Right: the tiles that cls and a
    tile in the middle of the sequence reach within one layer, on the tile grid. Colours count the
    heads. Links are where the gradient of an output with respect to the values is not zero, so any
    variant is shown as it is.

    Args:
        heads: H, of the pattern; 16 in the published encoder.
        queries: rows of the pattern.
        max_tokens: of the pattern; a slide with more than five times as many has no right side,
            which is logged.

    Cost: one forward and backward pass of one attention, twice, once a run.
    """

    priority = "LOW"

    def __init__(self, *, heads: int = 16, queries: int = 128, max_tokens: int = 2048) -> None:
        self.heads, self.queries, self.max_tokens = heads, queries, max_tokens

    def before_train(self, runner: Any) -> None:
        """Add the picture at step 0; a resumed run has it."""
        variant = attention_of(runner.objective)
        if runner.iter or variant is None or runner.val_dataloader is None:
            return
        item = runner.val_dataloader.dataset[0]
        grid = np.asarray(item["grid"])
        if not len(grid):
            return
        pictures = [self._pattern(variant, min(1 + len(grid), self.max_tokens))]
        if len(grid) < 5 * self.max_tokens:
            pictures += self._reach(variant, grid)
        else:
            LOGGER.info("%s has %d tiles: no picture of the reach", item["slide_id"], len(grid))
        name = f"slide/attention_pattern/{item['slide_id']}"
        runner.visualizer.add_image(name, beside(*pictures), step=0)

    def _pattern(self, variant: nn.Module, tokens: int) -> np.ndarray:
        queries = np.unique(np.linspace(0, tokens - 1, self.queries).round().astype(int))
        linked = self._links(variant, tokens, queries)
        # a column stands for several tokens where there are more than columns
        edges = np.unique(np.linspace(0, tokens, _COLUMNS + 1).astype(int))[:-1]
        return pattern_picture(np.maximum.reduceat(linked, edges, axis=1), self.heads, tokens)

    def _reach(self, variant: nn.Module, grid: np.ndarray) -> list[np.ndarray]:
        middle = 1 + len(grid) // 2
        linked = self._links(variant, 1 + len(grid), np.array([0, middle]))[:, 1:]
        titles = ("heads from cls to each tile", "heads from a tile in the middle")
        return [
            reach_picture(heads, self.heads, grid, title)
            for heads, title in zip(linked, titles, strict=True)
        ]

    def _links(self, variant: nn.Module, tokens: int, queries: np.ndarray) -> np.ndarray:
        """Return for each query and token how many heads link them."""
        generator = torch.Generator().manual_seed(0)
        # each query is watched in a channel of its own
        shape = (1, tokens, self.heads, max(8, len(queries)))
        q, k = (torch.randn(shape, generator=generator) for _ in range(2))
        weights = attention_weights(variant, q, k, queries.tolist())
        return (weights != 0).sum(dim=-1).numpy()
