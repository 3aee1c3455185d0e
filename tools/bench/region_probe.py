"""Regions of one slide told from vectors of its tiles: parts, neighbourhoods, probe, intervals.

Shapes: N tiles, D numbers a tile, K classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

# of the slide's six regions two hold under a hundred tiles
CLASSES = 4
PURITY = 0.8
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
DRAWS = 1000


class Tiles(NamedTuple):
    """Tiles of one slide.

    Attributes:
        features: ``(N, D)`` float32.
        grid: ``(N, 2)`` int64 cells, column then row.
        label: ``(N,)`` region.
        scored: ``(N,)`` bool, True = of one of the large regions, and purely of it.
    """

    features: np.ndarray
    grid: np.ndarray
    label: np.ndarray
    scored: np.ndarray


class Parts(NamedTuple):
    """Rows of the scored tiles: of the top half the upper part and the strip below it, the rest."""

    fit: np.ndarray
    strip: np.ndarray
    test: np.ndarray


def read_tiles(path: Path) -> Tiles:
    with np.load(path) as file:
        scored = (file["label"] < CLASSES) & (file["purity"] >= PURITY)
        grid = file["coords"].astype(np.int64) // int(file["tile_size"])
        return Tiles(file["features"], grid, file["label"].astype(np.int64), scored)


def parts_of(tiles: Tiles, strip: float = 0.35) -> Parts:
    """Cut a slide at its tiles' median row, and the top half again for choices.

    Args:
        tiles: the slide.
        strip: share of the top half's tiles that lie in the strip beside the cut.
    """
    rows = tiles.grid[:, 1]
    half = np.median(rows)
    edge = np.quantile(rows[rows < half], 1 - strip)
    return Parts(
        np.flatnonzero(tiles.scored & (rows < edge)),
        np.flatnonzero(tiles.scored & (rows >= edge) & (rows < half)),
        np.flatnonzero(tiles.scored & (rows >= half)),
    )


def neighbourhood_mean(features: np.ndarray, grid: np.ndarray, side: int) -> np.ndarray:
    """Return the mean ``(N, D)`` over the tiles that are there in ``side x side`` cells around."""
    reach = side // 2
    columns, rows = grid.max(axis=0) + 1 + 2 * reach + 1
    sums = np.zeros((columns, rows, features.shape[1] + 1))
    # the last number counts tiles; one empty row and column begin the sums
    at = tuple((grid + reach + 1).T)
    sums[at] = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    sums = sums.cumsum(axis=0).cumsum(axis=1)
    x, y = grid.T
    total = sums[x + side, y + side] - sums[x, y + side] - sums[x + side, y] + sums[x, y]
    return total[:, :-1] / total[:, -1:]


def probe(
    vectors: np.ndarray, label: np.ndarray, fit: np.ndarray, ask: np.ndarray, strength: float
) -> np.ndarray:
    """Return probabilities ``(len(ask), K)`` by logistic regression with balanced classes."""
    mean, deviation = vectors[fit].mean(axis=0), vectors[fit].std(axis=0) + 1e-6
    scaled = (vectors - mean) / deviation
    model = LogisticRegression(C=strength, max_iter=1000, tol=1e-3, class_weight="balanced")
    told: np.ndarray = model.fit(scaled[fit], label[fit]).predict_proba(scaled[ask])
    return told


def on_strip(vectors: np.ndarray, label: np.ndarray, parts: Parts) -> tuple[float, float]:
    """Return the best strength by the strip's balanced accuracy, and that accuracy."""
    found = {
        strength: balanced_accuracy_score(
            label[parts.strip], probe(vectors, label, parts.fit, parts.strip, strength).argmax(1)
        )
        for strength in STRENGTHS
    }
    best = max(found, key=lambda strength: found[strength])
    return best, float(found[best])


def on_test(vectors: np.ndarray, label: np.ndarray, parts: Parts, strength: float) -> np.ndarray:
    """Return probabilities of the test tiles by a probe of the whole top half."""
    top = np.concatenate([parts.fit, parts.strip])
    return probe(vectors, label, top, parts.test, strength)


def macro_auroc(label: np.ndarray, told: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return the mean over the classes there of one class against the rest."""
    there = [k for k in range(told.shape[1]) if 0 < (label == k).sum() < len(label)]
    return float(
        np.mean([roc_auc_score(label == k, told[:, k], sample_weight=weight) for k in there])
    )


def drawn_accuracies(
    label: np.ndarray, told: np.ndarray, grid: np.ndarray, side: int = 32
) -> np.ndarray:
    """Return balanced accuracies ``(DRAWS,)`` of blocks of tiles drawn with replacement.

    Neighbours are alike, so blocks of ``side x side`` cells are drawn and not tiles. The draws are
    the same for each way that is asked about the same tiles. Classes that a draw lacks are left
    out of its mean.
    """
    cells = grid // side
    _, block = np.unique(cells, axis=0, return_inverse=True)
    blocks, classes = int(block.max()) + 1, told.shape[1]
    right, count = np.zeros((2, blocks, classes))
    np.add.at(count, (block, label), 1)
    np.add.at(right, (block, label), told.argmax(axis=1) == label)
    times = np.random.default_rng(0).multinomial(blocks, np.full(blocks, 1 / blocks), size=DRAWS)
    drawn_right, drawn = times @ right, times @ count
    recall = np.divide(drawn_right, drawn, out=np.full(drawn.shape, np.nan), where=drawn > 0)
    accuracies: np.ndarray = np.nanmean(recall, axis=1)
    return accuracies


def interval(drawn: np.ndarray) -> tuple[float, float]:
    """Return what 95 % of the draws lie between."""
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
