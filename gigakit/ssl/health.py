"""Whether a representation is alive: numbers that need no labels.

Shapes: N samples, D width, K prototypes. All are computed in float64, whatever comes in.
"""

from __future__ import annotations

import math
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class ReportsHealth(Protocol):
    """An objective that shows its representation of a batch."""

    def health(self, **batch: Any) -> dict[str, Tensor]:
        """Return ``features`` ``(N, D)`` and, with a teacher, ``teacher_probs`` ``(N, K)``.

        Args:
            batch: what the objective's forward pass takes.
        """
        ...


def rank_me(features: Tensor, *, centred: bool = False) -> float:
    """Return RankMe: exp of the entropy of the singular values, between 1 and min(N, D).

    Formula: ``p = σ / Σσ + 1e-7``, ``exp(-Σ p ln p)``. Cost: one SVD.

    Source: Garrido et al. 2023; centred or not are different numbers.
    """
    x = features.double()
    singular = torch.linalg.svdvals(x - x.mean(dim=0) if centred else x)
    p = singular / singular.sum().clamp(min=1e-300) + 1e-7
    return math.exp(-float((p * p.log()).sum()))


def covariance_effective_rank(features: Tensor) -> float:
    """Return exp of the entropy of the covariance's eigenvalues, between 1 and D; 1 without any.

    Formula: ``p = λ / Σλ``, ``exp(-Σ p ln p)``. Cost: one ``D × D`` eigenvalue problem.

    Source: Roy and Vetterli 2007, on the covariance.
    """
    eigenvalues = _covariance_spectrum(features)
    p = eigenvalues / eigenvalues.sum().clamp(min=1e-300)
    return math.exp(-float(torch.special.xlogy(p, p).sum()))


def spectrum_slope(features: Tensor) -> float:
    """Return α of the power law ``λ_i ~ i^-α`` of the covariance's eigenvalues, by least squares.

    NaN where fewer than two eigenvalues are positive.

    Source: α-ReQ (Agrawal et al. 2022), over all eigenvalues.
    """
    eigenvalues = _covariance_spectrum(features).flip(0)
    eigenvalues = eigenvalues[eigenvalues > 0]
    if len(eigenvalues) < 2:  # noqa: PLR2004
        return math.nan
    rank = torch.arange(1, len(eigenvalues) + 1, dtype=torch.float64).log()
    centred = rank - rank.mean()
    return -float((centred * eigenvalues.log()).sum() / centred.square().sum())


def feature_std(features: Tensor) -> Tensor:
    """Return the standard deviation ``(D,)`` of each entry of the L2-normalised features.

    ``1 / sqrt(D)`` where features point everywhere, 0 where they have collapsed to one direction.

    Source: SimSiam (Chen and He 2021), section 4.1.
    """
    normed = torch.nn.functional.normalize(features.double(), dim=1)
    return normed.std(dim=0) if len(normed) > 1 else torch.zeros_like(normed[0])


def mean_pairwise_cosine(features: Tensor) -> float:
    """Return the mean cosine over all pairs of different samples; NaN of a single one."""
    normed = torch.nn.functional.normalize(features.double(), dim=1)
    count = len(normed)
    if count < 2:  # noqa: PLR2004
        return math.nan
    own = float(normed.square().sum())
    return (float(normed.sum(dim=0).square().sum()) - own) / (count * (count - 1))


def target_entropies(probs: Tensor) -> tuple[float, float]:
    """Return the entropy of the mean target and the mean entropy of targets, as parts of ln K.

    The first near 0: few prototypes are used. The second near 1: targets say nothing; near 0: each
    target is one prototype.

    Args:
        probs: ``(N, K)``, the teacher's, each row of sum 1.

    Source: DINO (Caron et al. 2021), section 5.3.
    """
    p = probs.double()
    mean = p.mean(dim=0)
    scale = math.log(p.shape[1])
    of_mean = -float(torch.special.xlogy(mean, mean).sum())
    of_each = -float(torch.special.xlogy(p, p).sum(dim=1).mean())
    return of_mean / scale, of_each / scale


def _covariance_spectrum(features: Tensor) -> Tensor:
    """Return the eigenvalues of the covariance, ascending, never negative."""
    x = features.double()
    if len(x) < 2:  # noqa: PLR2004
        return torch.zeros(x.shape[1], dtype=torch.float64)
    centred = x - x.mean(dim=0)
    eigenvalues: Tensor = torch.linalg.eigvalsh(centred.T @ centred / (len(x) - 1))
    return eigenvalues.clamp(min=0.0).cpu()
