"""Views of a tile: crops on the host and colours in batches, beside making each view alone.

per view     the baseline: every view is cropped, jittered, blurred and normalised by itself, with
             OpenCV and NumPy on 8-bit pixels, as a loader's worker would do it
crops        gigakit on the host: MultiCrop, as exact as Pillow, or fast
colours      gigakit on the device, here the CPU: DINOv2's photometric chain on the whole batch

Both make 2 global views of 224 px and 8 local ones of 96 px of the same tiles of 256 px, with
DINOv2's probabilities. All take turns in one process, on one thread. CPU time a source image.

Usage:  python tools/bench/tile_views.py [--images 16] [--turns 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from measure import in_turns

from gigakit.core.seeding import random_generator
from gigakit.registry import AUGMENTATIONS, OBJECTIVES

CHAIN = ("ColorJitter", "RandomGrey", "GaussianBlur", "Solarize")
# size, views, areas, probabilities of blur and inversion
KINDS = (
    (224, 1, (0.32, 1.0), 0.0, 0.0),
    (224, 1, (0.32, 1.0), 0.9, 0.2),
    (96, 8, (0.05, 0.32), 0.5, 0.0),
)
MEAN = np.array((0.485, 0.456, 0.406), np.float32)
STD = np.array((0.229, 0.224, 0.225), np.float32)


def crop(tile: np.ndarray, area: tuple[float, float], generator: np.random.Generator) -> np.ndarray:
    """Return a random part of a tile, as OpenCV and plain Python draw it."""
    height, width = tile.shape[:2]
    for _ in range(10):
        share = height * width * generator.uniform(*area)
        ratio = np.exp(generator.uniform(np.log(3 / 4), np.log(4 / 3)))
        across, down = round(np.sqrt(share * ratio)), round(np.sqrt(share / ratio))
        if across <= width and down <= height:
            x, y = generator.integers(width - across + 1), generator.integers(height - down + 1)
            return tile[y : y + down, x : x + across]
    return tile


def jitter(view: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast, saturation and hue on 8 bits, in random order."""
    for change in generator.permutation(4):
        if change == 0:
            view = cv2.convertScaleAbs(view, alpha=generator.uniform(0.6, 1.4))
        elif change == 1:
            factor = generator.uniform(0.6, 1.4)
            mean = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY).mean()
            view = cv2.convertScaleAbs(view, alpha=factor, beta=(1 - factor) * mean)
        elif change == 2:  # noqa: PLR2004
            factor = generator.uniform(0.8, 1.2)
            grey = cv2.cvtColor(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            view = cv2.addWeighted(view, factor, grey, 1 - factor, 0)
        else:
            colours = cv2.cvtColor(view, cv2.COLOR_RGB2HSV_FULL)
            colours[..., 0] += np.uint8(generator.integers(-25, 26) % 256)
            view = cv2.cvtColor(colours, cv2.COLOR_HSV2RGB_FULL)
    return view


def alone(tile: np.ndarray, generator: np.random.Generator) -> list[np.ndarray]:
    """Make all views of a tile, one after the other."""
    views = []
    for size, count, area, blur, solarize in KINDS:
        for _ in range(count):
            part = crop(tile, area, generator)
            view = cv2.resize(part, (size, size), interpolation=cv2.INTER_CUBIC)
            if generator.random() < 0.5:  # noqa: PLR2004
                view = cv2.flip(view, 1)
            if generator.random() < 0.8:  # noqa: PLR2004
                view = jitter(view, generator)
            if generator.random() < 0.2:  # noqa: PLR2004
                grey = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY)
                view = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
            if generator.random() < blur:
                view = cv2.GaussianBlur(view, (9, 9), generator.uniform(0.1, 2.0))
            if generator.random() < solarize:
                view = np.where(view >= 128, 255 - view, view)  # noqa: PLR2004
            normal = (view.astype(np.float32) / 255 - MEAN) / STD
            views.append(np.ascontiguousarray(normal.transpose(2, 0, 1)))
    return views


def batch_of(tiles: np.ndarray, resize: str) -> dict[str, torch.Tensor]:
    """Return the crops of tiles as a collate function stacks them."""
    multi_crop = AUGMENTATIONS.build({"type": "MultiCrop", "resize": resize})
    views = [multi_crop(tile, random_generator(0, n)) for n, tile in enumerate(tiles)]
    stacked = {name: torch.stack([view[name] for view in views], dim=1) for name in views[0]}
    return {**stacked, "seed": torch.arange(len(tiles))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    generator = np.random.default_rng(0)
    tiles = generator.integers(0, 256, (options.images, 256, 256, 3), dtype=np.uint8)
    tiles = np.stack([cv2.GaussianBlur(tile, (9, 9), 2) for tile in tiles])
    chain = [{"type": name} for name in CHAIN]
    colours = OBJECTIVES.build({"type": "TileViews", "photometric": chain})
    batch = batch_of(tiles, "exact")
    times = in_turns(
        {
            "per view": lambda: [alone(tile, generator) for tile in tiles],
            "crops, exact": lambda: batch_of(tiles, "exact"),
            "crops, fast": lambda: batch_of(tiles, "fast"),
            "colours": lambda: colours(dict(batch), training=True),
        },
        turns=options.turns,
    )
    taken = {name: 1e3 * time.cpu / options.images for name, time in times.items()}
    for way in ("exact", "fast"):
        taken[f"gigakit, {way}"] = taken[f"crops, {way}"] + taken["colours"]
    print(f"{'way':16} {'CPU ms an image':>16} {'to per view':>12}")
    for name, milliseconds in taken.items():
        print(f"{name:16} {milliseconds:16.2f} {milliseconds / taken['per view']:12.2f}")
    if options.json:
        options.json.write_text(json.dumps(taken, indent=1))


if __name__ == "__main__":
    main()
