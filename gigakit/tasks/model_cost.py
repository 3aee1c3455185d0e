"""What a tile encoder costs a tile."""

from __future__ import annotations

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from gigakit.registry import BACKBONES
from gigakit.tasks.inference import inference
from gigakit.tasks.tile_model import TileModel

_BATCH = 8
# a model that is slower than this a tile is timed on one tile
_SLOW_FLOPS = 20e9


def model_cost(model: TileModel, tile: torch.Tensor) -> tuple[int, int]:
    """Return the FLOPs of a tile and the width of its embedding; nothing is computed."""
    with torch.device("meta"), torch.inference_mode():
        encoder = BACKBONES.build(model.config).eval()
        with FlopCounterMode(display=False) as counter:
            embedding = encoder(torch.empty(1, *tile.shape))
    return counter.get_total_flops(), int(embedding.shape[-1])


def model_seconds(model: TileModel, tile: torch.Tensor, flops: int) -> float:
    """Return the seconds of a tile in a batch: of the processor, or of a device by the clock."""
    encoder = model.untrained_encoder()
    batch = 1 if flops > _SLOW_FLOPS and model.device.type == "cpu" else model.batch_size
    tiles = tile.expand(min(batch, _BATCH if model.device.type == "cpu" else batch), *tile.shape)
    tiles = tiles.to(model.device)
    clock = time.process_time if model.device.type == "cpu" else time.perf_counter
    taken = []
    # the first call is a warm-up
    for _ in range(3):
        begin = clock()
        with inference(model.device, model.precision):
            encoder(tiles).float().cpu()
        taken.append((clock() - begin) / len(tiles))
    return min(taken[1:])
