"""What a slide encoder adds to a tile: regions of one slide, from 18 numbers of each of its tiles.

    python tools/bench/tile_regions.py hgsc_wsi_grid256.npz

``gigapath_slide`` is pretrained on the tile features alone, then its tokens are told apart by
logistic regression: trained on the top half of the slide, tested on the bottom half. Beside it: the
tile's own features, with means of its neighbours, and the same encoder from random weights.
Everything is chosen by a strip of the top half; ``--strip-only`` asks nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import region_probe as regions
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import nn

from gigakit.config import load_config
from gigakit.engine.export import export_weights
from gigakit.engine.run_data import OWN_KEYS, fill_in, prepare
from gigakit.engine.train import train
from gigakit.nn.weights import load_weights
from gigakit.registry import BACKBONES
from gigakit.wsi.features import write_features
from gigakit.wsi.tiles import TileTable

# cells of a side: what the encoder sees at once, and the squares of the slide it is cut out of
WINDOW, SQUARE = 20, 30
LEAST_TILES = 90
BATCH = 8
# part of the tiles that the encoder sees in pretraining
VISIBLE = 0.25
_AUGMENTATIONS = [
    {"type": "CropWindow", "ratio": WINDOW / SQUARE},
    {"type": "FlipGrid", "p": 0.5},
    {"type": "ShiftGrid", "grid_size": SQUARE},
]
SETTING: dict[str, Any] = {
    "model.encoder.width": 96,
    "model.encoder.depth": 2,
    "model.encoder.heads": 4,
    "model.encoder.dropout": 0.0,
    "model.encoder.drop_path": 0.0,
    # a window is one segment: more branches would repeat what the first one sees
    "model.encoder.attention.segment_lengths": [WINDOW**2 + 1],
    "model.encoder.attention.dilation_ratios": [1],
    "model.encoder.position.temperature": 30.0,
    # a hidden tile asks cls and one visible tile, which must know its surroundings
    "model.decoder": {"type": "LightDecoder", "width": 64, "neighbours": 1, "_delete_": True},
    "optim_wrapper.optimizer.lr": 2e-3,
    "train_dataloader.batch_size": BATCH,
    "train_dataloader.dataset.augmentations": _AUGMENTATIONS,
    "val_dataloader.dataset.augmentations": _AUGMENTATIONS,
    "custom_hooks": [],
    "default_hooks.checkpoint.interval_steps": None,
    "default_hooks.scalars.interval_steps": 1000,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tiles", type=Path, help="npz of features, coords, label, purity")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--draws", type=int, default=8, help="deals that a token is the mean of")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--strip-only", action="store_true", help="for choices: no test")
    parser.add_argument("--tokens", type=Path, help="keep each seed's tokens here, or take them")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args()
    torch.set_num_threads(1)
    tiles = regions.read_tiles(given.tiles)
    figures = []
    for way, seeds in ways(tiles, given):
        figures.append(score(tiles, seeds, strip_only=given.strip_only) | {"way": way})
        print(row(figures[-1]), flush=True)
    if not given.strip_only:
        for line in differences(figures):
            print(line)
    if given.json:
        plain = [{k: v for k, v in one.items() if k != "drawn"} for one in figures]
        given.json.write_text(json.dumps(plain, indent=1))


def ways(tiles: regions.Tiles, given: argparse.Namespace) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yield each way's name and its vectors ``(N, D)``, several where a seed matters."""
    own = tiles.features
    yield "own features", [own]
    for side in (3, 7):
        mean = regions.neighbourhood_mean(own, tiles.grid, side)
        yield f"own + mean of {side} x {side}", [np.concatenate([own, mean], axis=1)]
    random, pretrained = [], []
    for seed in given.seeds:
        untrained, trained = kept_tokens(tiles, seed, given)
        random.append(untrained)
        pretrained.append(trained)
    for name, tokens in (("random weights", random), ("pretrained", pretrained)):
        yield f"{name}, tokens", tokens
        yield f"{name}, own + tokens", [np.concatenate([own, one], axis=1) for one in tokens]


def score(tiles: regions.Tiles, seeds: Sequence[np.ndarray], *, strip_only: bool) -> dict[str, Any]:
    """Return a way's figures by seed: on the strip, and on the test tiles."""
    parts = regions.parts_of(tiles)
    found: dict[str, Any] = {"strength": [], "strip": [], "accuracy": [], "auroc": [], "drawn": []}
    label, grid = tiles.label[parts.test], tiles.grid[parts.test]
    for vectors in seeds:
        strength, accuracy = regions.on_strip(vectors, tiles.label, parts)
        found["strength"].append(strength)
        found["strip"].append(accuracy)
        if not strip_only:
            told = regions.on_test(vectors, tiles.label, parts, strength)
            found["accuracy"].append(float(balanced_accuracy_score(label, told.argmax(axis=1))))
            found["auroc"].append(regions.macro_auroc(label, told))
            found["drawn"].append(regions.drawn_accuracies(label, told, grid))
    return found


def row(figure: dict[str, Any]) -> str:
    cells = [figure["way"], by_seed(figure["strip"])]
    if figure["accuracy"]:
        low, high = regions.interval(np.mean(figure["drawn"], axis=0))
        mean = f"{np.mean(figure['accuracy']):.3f} ({low:.3f} to {high:.3f})"
        cells += [mean, by_seed(figure["accuracy"]), by_seed(figure["auroc"])]
    return "| " + " | ".join([*cells, by_seed(figure["strength"], "g")]) + " |"


def by_seed(values: Sequence[float], form: str = ".3f") -> str:
    return " ".join(f"{value:{form}}" for value in values)


def differences(figures: Sequence[dict[str, Any]]) -> list[str]:
    """Say by how much the last way is better than each other one, on the same blocks."""
    last, lines = figures[-1], []
    for other in figures[:-1]:
        drawn = np.mean(last["drawn"], axis=0) - np.mean(other["drawn"], axis=0)
        low, high = regions.interval(drawn)
        mean = np.mean(last["accuracy"]) - np.mean(other["accuracy"])
        lines.append(f"{last['way']} - {other['way']}: {mean:+.3f} ({low:+.3f} to {high:+.3f})")
    return lines


def kept_tokens(
    tiles: regions.Tiles, seed: int, given: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray]:
    """Return what :func:`encoder_tokens` does, kept in a folder where one is given."""
    path = given.tokens / f"{seed}.npz" if given.tokens else None
    if path is not None and path.is_file():
        with np.load(path) as file:
            return file["untrained"], file["trained"]
    untrained, trained = encoder_tokens(tiles, seed, given)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, untrained=untrained, trained=trained)
    return untrained, trained


def encoder_tokens(
    tiles: regions.Tiles, seed: int, given: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens ``(N, D)`` of an encoder from random weights, and pretrained."""
    features = scaled(tiles.features)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        squares = write_squares(folder / "features", features, tiles.grid)
        preset = {**SETTING, "features": str(folder / "features"), "randomness.seed": seed}
        preset["train_cfg.epochs"] = max(1, round(given.steps * BATCH / squares))
        values = load_config("gigapath_slide", given.overrides, preset=preset).values
        torch.manual_seed(seed)
        encoder: nn.Module = BACKBONES.build(
            {**values["model"]["encoder"], "input_dim": features.shape[1]}
        )
        untrained = tokens_of(encoder, features, tiles.grid, given.draws)
        start = time.process_time()
        metrics = pretrain(values, folder / "run")
        sys.stderr.write(f"seed {seed}: {time.process_time() - start:.0f} CPU s, {metrics}\n")
        load_weights(encoder, export_weights(folder / "run", part="encoder").path)
        return untrained, tokens_of(encoder, features, tiles.grid, given.draws)


def scaled(features: np.ndarray) -> np.ndarray:
    """Return features with mean 0 and deviation 1 over the slide, cut at five deviations."""
    deviation = features.std(axis=0) + 1e-6
    return np.clip((features - features.mean(axis=0)) / deviation, -5, 5)


def write_squares(folder: Path, features: np.ndarray, grid: np.ndarray) -> int:
    """Write squares of the slide that overlap by half as slides, and return how many there are."""
    folder.mkdir(parents=True)
    written = 0
    for corner, inside in squares_of(grid):
        if len(inside) >= LEAST_TILES:
            name = f"{corner[0]}-{corner[1]}"
            table = TileTable.from_grid(name, (grid[inside] - corner).astype(np.float64))
            write_features(folder / f"{name}.h5", features[inside], table)
            written += 1
    return written


def pretrain(values: dict[str, Any], folder: Path) -> dict[str, float]:
    """Train a recipe and return how well it predicts hidden tiles, beside the baselines."""
    fill_in(values, prepare(values, lambda _line: None))
    plain = {key: value for key, value in values.items() if key not in OWN_KEYS}
    logging.getLogger("gigakit").setLevel(logging.ERROR)
    with contextlib.redirect_stderr(io.StringIO()):
        metrics = train(plain, work_dir=folder).metrics
    return {k: round(v, 3) for k, v in metrics.items() if "r2" in k and v is not None}


def squares_of(grid: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield squares of the slide that overlap by half: corner, and the tiles inside row by row."""
    ends = np.maximum(grid.max(axis=0) + 1 - SQUARE, 0)
    steps = [np.unique([*range(0, end, SQUARE // 2), end]) for end in ends.tolist()]
    for corner in np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 2):
        inside = np.flatnonzero(((grid >= corner) & (grid < corner + SQUARE)).all(axis=1))
        # the order in which slides are stored
        yield corner, inside[np.lexsort(grid[inside].T)]


@torch.no_grad()
def tokens_of(encoder: Any, features: np.ndarray, grid: np.ndarray, draws: int) -> np.ndarray:
    """Return each tile's token ``(N, D)``, the mean over draws of what pretraining showed.

    A draw lays a lattice of windows over the slide at random, flipped or not, each window anywhere
    in a square, and deals its tiles into parts as dense as in pretraining, each encoded alone.
    """
    encoder.eval()
    generator = np.random.default_rng(0)
    tokens = np.zeros((len(grid), encoder.width), dtype=np.float32)
    for _ in range(draws):
        flipped = np.where(generator.integers(0, 2, 2), grid.max(axis=0) - grid, grid)
        window, place = np.divmod(flipped + generator.integers(0, WINDOW, 2), WINDOW)
        _, number = np.unique(window, axis=0, return_inverse=True)
        by_window = np.argsort(number.ravel(), kind="stable")
        for tiles in np.split(by_window, np.cumsum(np.bincount(number.ravel()))[:-1]):
            shift = generator.integers(0, SQUARE - WINDOW + 1, 2)
            for part in np.array_split(generator.permutation(tiles), round(1 / VISIBLE)):
                if len(part):
                    seen = part[np.lexsort(place[part].T)]
                    where = torch.from_numpy(place[seen] + shift).double()
                    found = encoder.tokens(torch.from_numpy(features[seen])[None], where[None])
                    tokens[seen] += found[0, 1:].numpy() / draws
    return tokens


if __name__ == "__main__":
    main()
