"""Teacher probabilities by centering."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.registry import TARGETS
from gigakit.ssl.precision import at_least_float32
from gigakit.ssl.ranks import summed
from gigakit.ssl.row_counts import zero_after


@TARGETS.register_module()
class Centering(nn.Module):
    """Subtract a running mean of the logits, then sharpen.

    Formula, with logits ``z`` of M samples and the center ``c``, which begins at zero::

        p = softmax((z - c) / temperature)
        c = momentum c + (1 - momentum) mean(z)      after use, over the samples of all processes

    The mean is that of each process first, then over the processes that have samples, whatever
    their numbers.

    Args:
        prototypes: K, told by the head.
        momentum: 0.9 in DINO and DINOv2.

    Raises:
        ConfigError: a momentum out of [0, 1].

    Source: DINO (Caron et al. 2021), section 3.1; iBOT (Zhou et al. 2022) for the population.
    Differs: DINOv2 applies the update at the next call, so its checkpoints miss the last one; the
        probabilities are the same.
    """

    center: Tensor
    follows_population = True

    def __init__(self, *, prototypes: int, momentum: float = 0.9) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ConfigError(f"momentum is {momentum}", where="Centering", fix="from 0 to 1")
        self.momentum = momentum
        self.register_buffer("center", torch.zeros(prototypes))

    @torch.no_grad()
    def forward(
        self,
        logits: Tensor,
        temperature: float,
        population: Tensor | None = None,
        count: Tensor | None = None,
    ) -> Tensor:
        """Return probabilities ``(M, K)`` float32, and move the center.

        Args:
            logits: ``(M, K)`` of the teacher; M may be 0.
            temperature: of the teacher.
            population: ``(N, K)``, the samples whose mean the center follows where these are not
                the logits themselves: the original iBOT's center of patches follows all patches,
                masked or not.
            count: how many of the logits' rows are samples, the rest only fills up; ``None`` if all
                are.
        """
        # in place: of 65,536 prototypes each copy is 100 MB
        scaled = (at_least_float32(logits) - self.center).div_(temperature)
        probabilities = scaled.softmax(dim=-1)
        samples = at_least_float32(logits if population is None else population)
        # the number of processes with samples travels with the sum of their means
        if population is None and count is not None:
            present = (count > 0).to(samples.dtype)
            mean = zero_after(samples, count).sum(dim=0) / count.clamp(min=1)
            told = torch.cat([mean, present.view(1)])
        else:
            told = torch.cat([samples.mean(dim=0), samples.new_ones(1)])
            told = told if len(samples) else torch.zeros_like(told)
        told = summed(told)
        if told[-1] > 0:
            self.center.lerp_(told[:-1] / told[-1], 1.0 - self.momentum)
        return probabilities
