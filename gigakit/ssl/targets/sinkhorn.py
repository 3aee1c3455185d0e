"""Teacher probabilities by Sinkhorn and Knopp's algorithm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.registry import TARGETS
from gigakit.ssl.precision import at_least_float32
from gigakit.ssl.ranks import largest, summed
from gigakit.ssl.row_counts import is_counted, zero_after


@TARGETS.register_module()
class SinkhornKnopp(nn.Module):
    """Share a batch out among the prototypes evenly.

    Formula, with logits ``z`` ``(M, K)`` of the samples of all processes, ``l = z / temperature``::

        repeat:  v_k = -log sum_i exp(l_ik + u_i)        each prototype has the same weight
                 u_i = -log sum_k exp(l_ik + v_k)        each sample sums to 1
        p_ik = exp(l_ik + u_i + v_k)

    In the log domain nothing overflows, however large the logits. Only the sums over samples need
    the other processes; the published divisions by totals cancel. With far fewer samples than
    prototypes the result is nearly uniform: take fewer prototypes.

    Args:
        iterations: 3 in DINOv2.

    Raises:
        ConfigError: no iteration.

    Source: SwAV (Caron et al. 2020), section 3.1; DINOv2 (Oquab et al. 2023), section 4.
    Differs: DINOv2 computes exp(l) first, which overflows in float32 for z over 3.5 at 0.04, and
        needs a process group.
    """

    # with fewer rows the targets are nearly uniform
    least_rows = 16

    def __init__(self, *, prototypes: int | None = None, iterations: int = 3) -> None:  # noqa: ARG002 - as Centering
        super().__init__()
        if iterations < 1:
            raise ConfigError(
                f"iterations is {iterations}", where="SinkhornKnopp", fix="give 1 or more"
            )
        self.iterations = iterations

    @torch.no_grad()
    def forward(self, logits: Tensor, temperature: float, count: Tensor | None = None) -> Tensor:
        """Return probabilities ``(M, K)`` float32; each process has its own samples' rows.

        Args:
            logits: ``(M, K)`` of the teacher; M may be 0.
            temperature: of the teacher.
            count: how many of the rows are samples, the rest only fills up and gets zeros;
                ``None`` if all are.
        """
        scaled = at_least_float32(logits) / temperature
        samples = scaled.new_zeros(len(scaled), 1)
        prototypes = scaled.new_zeros(scaled.shape[1])
        for _ in range(self.iterations):
            weighed = scaled + samples
            if count is not None:
                weighed = weighed.masked_fill(~is_counted(weighed, count), -torch.inf)
            prototypes = -_log_sum_over_samples(weighed)
            samples = -(scaled + prototypes).logsumexp(dim=1, keepdim=True)
        shares = (scaled + samples + prototypes).exp()
        return shares if count is None else zero_after(shares, count)


def _log_sum_over_samples(values: Tensor) -> Tensor:
    """Return ``log sum_i exp(values_ik)`` ``(K,)`` over the rows of all processes."""
    # a process without rows has no largest one
    top = values.new_full((values.shape[1],), -torch.inf)
    if len(values):
        top = values.amax(dim=0)
    top = largest(top)
    return summed((values - top).exp().sum(dim=0)).log() + top
