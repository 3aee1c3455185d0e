"""Which slides look alike to an encoder.

Shapes: N slides, D width of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Neighbour:
    """A slide near another.

    Args:
        row: its number.
        cosine: of the two vectors, -1 to 1.
    """

    row: int
    cosine: float


def nearest_slides(
    vectors: np.ndarray, query: int, count: int, *, centred: bool = False
) -> list[Neighbour]:
    """Return the slides nearest to one by cosine, the nearest first, without itself.

    Args:
        vectors: ``(N, D)``.
        query: number of the slide.
        count: how many; fewer where there are no more.
        centred: subtract the mean of all slides first. Vectors of one encoder often share a large
            part, and then all cosines are close to 1.
    """
    compared = vectors.astype(np.float64)
    if centred:
        compared = compared - compared.mean(axis=0)
    length = np.linalg.norm(compared, axis=1)
    cosines = compared @ compared[query] / np.maximum(length * length[query], 1e-12)
    # equal ones in the order of the slides
    order = np.argsort(-cosines, kind="stable")
    return [Neighbour(int(row), float(cosines[row])) for row in order[order != query][:count]]
