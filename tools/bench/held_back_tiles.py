"""Are tiles predicted that training never saw? The sample, with a quarter of its tiles taken away.

    python tools/bench/held_back_tiles.py [--seeds 3] [--overlap 0.5] [--set KEY=VALUE ...]

The recipe is trained on the sample without a fixed random quarter of its tiles. Validation asks
what it always asks (the whole slide, fixed masks of 75 %), and scores the hidden tiles of that
quarter alone; the baselines have the same visible tiles.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gigakit.config import load_checked
from gigakit.core.seeding import random_generator
from gigakit.core.token_masks import random_token_mask
from gigakit.data.slide_sample import SlideSample
from gigakit.engine.run_data import OWN_KEYS, fill_in, prepare
from gigakit.engine.train import train
from gigakit.registry import AUGMENTATIONS, METRICS
from gigakit.tasks.metrics.masked_reconstruction import MaskedReconstruction

PREDICTORS = {"model": "", "mean embedding": "_mean", "nearest visible tile": "_nearest"}
SCALED_SEGMENTS = [16, 32, 64, 128, 256]


def held_back(tiles: int) -> np.ndarray:
    """Return which of a slide's stored tiles are held back."""
    return random_token_mask(tiles, 0.25, random_generator(99))


@AUGMENTATIONS.register_module()
class WithoutHeldBack:
    """Drop the tiles held back; the first augmentation, which sees the slide as stored."""

    def __call__(self, sample: SlideSample, generator: np.random.Generator) -> SlideSample:
        """Return the other tiles."""
        del generator
        return sample.take(~held_back(len(sample)))


@METRICS.register_module()
class HeldBackReconstruction(MaskedReconstruction):
    """Score the hidden tiles that were held back, among the visible ones."""

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Leave out the other hidden tiles."""
        kept = []
        for sample in data_samples:
            mask = sample["token_mask"]
            keep = ~mask | torch.from_numpy(held_back(len(mask))).to(mask.device)
            kept.append({k: v[keep] if torch.is_tensor(v) else v for k, v in sample.items()})
        super().process(data_batch, kept)


def run(overrides: Sequence[str], seed: int) -> dict[str, float | None]:
    recipe = load_checked("gigapath_slide", [*overrides, f"randomness.seed={seed}"])
    values = copy.deepcopy(recipe.values)
    fill_in(values, prepare(values, print))
    augmentations = values["train_dataloader"]["dataset"]["augmentations"]
    augmentations.insert(0, {"type": "WithoutHeldBack"})
    values["val_evaluator"] = {"type": "HeldBackReconstruction"}
    values = {key: value for key, value in values.items() if key not in OWN_KEYS}
    with tempfile.TemporaryDirectory() as folder:
        return train(values, work_dir=Path(folder)).metrics


_UNTRAINED = ("preparation.weights=None", "preparation.encoder.depth=4")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--overlap", type=float, default=0.0)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    options = parser.parse_args()
    # gigakit's own encoder has seen the slide, an untrained one has not
    overrides = [*_UNTRAINED, *options.overrides]
    if options.overlap:
        overrides += [
            f"preparation.tiler.overlap={options.overlap}",
            f"model.encoder.attention.segment_lengths={SCALED_SEGMENTS}",
        ]
    found = [run(overrides, seed) for seed in range(options.seeds)]
    print(f"R² of {found[0]['reconstruction/hidden_tiles']:.0f} hidden tiles that were held back")
    for name, suffix in PREDICTORS.items():
        values = [metrics[f"reconstruction/r2{suffix}"] or 0.0 for metrics in found]
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        print(f"{name:22} {statistics.fmean(values):.3f}{spread}")


if __name__ == "__main__":
    main()
