"""k nearest neighbours over frozen embeddings."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def knn_probabilities(
    train: Tensor,
    labels: Tensor,
    test: Tensor,
    *,
    classes: int,
    ks: Sequence[int],
    temperature: float = 0.07,
) -> dict[int, Tensor]:
    """Return weighted votes of the nearest neighbours, by cosine.

    With similarities ``s`` to the ``max(ks)`` nearest, the weights are ``softmax(s / temperature)``
    over all of these; the vote of ``k`` neighbours takes the first ``k`` weights as they are, so it
    does not sum to one. Numbers of neighbours beyond the training tiles count all of them.

    Args:
        train: ``(N, D)`` embeddings.
        labels: ``(N,)`` int64.
        test: ``(M, D)`` embeddings.
        classes: C.
        ks: numbers of neighbours.
        temperature: 0.07 in DINOv2.

    Returns:
        ``(M, C)`` for each k.

    Source: DINOv2, eval/knn.py (``KnnModule``).
    """
    similarity = functional.normalize(test, dim=1) @ functional.normalize(train, dim=1).T
    nearest, index = similarity.topk(min(max(ks), len(train)), dim=1)
    votes = functional.one_hot(labels[index], classes) * (nearest / temperature).softmax(
        dim=1
    ).unsqueeze(-1)
    return {k: votes[:, :k].sum(dim=1) for k in ks}
