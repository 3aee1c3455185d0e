"""An endless sampler whose place in a run is one number."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sized

import numpy as np
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler

from gigakit.core.seeding import random_generator
from gigakit.registry import SAMPLERS


@SAMPLERS.register_module()
class ResumableSampler(Sampler[tuple[int, int]]):
    """Yield ``(index, draw)`` without end; draw ``n`` is the same whenever and wherever it is made.

    Epoch ``e`` visits the dataset in the order of a permutation of ``(seed, e)`` alone.
    Rank ``r`` of ``W`` takes the draws ``r, r + W, ...``; a resumed run sets :attr:`start` to the
    draws all ranks have consumed, so nothing is read again.

    Args:
        dataset: what is sampled; handed in by the runner.
        shuffle: draw a permutation per epoch; otherwise visit in order.
        seed: seed of the order; handed in by the runner. ``None`` counts as 0.
    """

    def __init__(self, dataset: Sized, *, shuffle: bool = True, seed: int | None = None) -> None:
        self.dataset = dataset
        self.draws_per_epoch = len(dataset)
        self.shuffle = shuffle
        self.seed = seed or 0
        self.start = 0
        self.rank, self.world_size = get_dist_info()
        self._orders: dict[int, np.ndarray] = {}

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield this rank's draws from :attr:`start` on."""
        for draw in itertools.count(self.start + self.rank, self.world_size):
            yield self.index(draw), draw

    def index(self, draw: int) -> int:
        """Return the item that a draw visits."""
        epoch, place = divmod(draw, self.draws_per_epoch)
        if epoch not in self._orders:
            # the loader reads ahead of the loop, by an epoch's border at most
            self._orders = {e: o for e, o in self._orders.items() if abs(e - epoch) == 1}
            self._orders[epoch] = self._order(epoch)
        return int(self._orders[epoch][place])

    def _order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(self.draws_per_epoch)
        return random_generator(self.seed, epoch).permutation(self.draws_per_epoch)
