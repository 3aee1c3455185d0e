"""Batches that hold as many slides as a budget of tokens allows."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from gigakit.core.errors import ConfigError
from gigakit.data.samplers.resumable import ResumableSampler
from gigakit.registry import SAMPLERS

LOGGER = logging.getLogger(__name__)


@SAMPLERS.register_module()
class TokenBudget(Sampler[list[tuple[int, int]]]):
    """Cut the order of draws into batches of at most ``max_tokens``, instead of so many slides.

    The batches of a run follow each other in the order of draws: each takes the next slides while
    they fit, so where it begins decides where it ends. Rank ``r`` of ``W`` takes the batches
    ``r, r + W, ...``: all ranks make the same number of steps, every rank knows what the others
    read, and the number of draws used so far is all that a resume needs to know.

    A slide that is longer than the budget is a batch of its own; the log says how many there are.
    Lengths are those before augmentation, which can only make a slide shorter.

    Args:
        sampler: the order of draws, a :class:`ResumableSampler`; handed in by the runner.
        max_tokens: tokens of a batch, of one process.
        padded: count padding too, as ``pad_slides`` makes it: slides times the longest. ``False``
            counts the sum of lengths, as ``pack_slides`` needs it.
        batch_size: handed in by the runner; the budget takes its place.

    Raises:
        ConfigError: max_tokens under 1, another sampler, or a dataset without ``lengths``.
    """

    def __init__(
        self,
        sampler: ResumableSampler,
        *,
        max_tokens: int,
        padded: bool = True,
        batch_size: int | None = None,
    ) -> None:
        del batch_size
        where = "train_dataloader.batch_sampler"
        if max_tokens < 1:
            raise ConfigError(f"max_tokens is {max_tokens}", where=where, fix="give 1 or more")
        lengths = getattr(getattr(sampler, "dataset", None), "lengths", None)
        if not isinstance(sampler, ResumableSampler) or lengths is None:
            raise ConfigError(
                "needs a ResumableSampler and a dataset that knows its lengths",
                where=where,
                fix='use dict(type="ResumableSampler") over SlideFeatures, or a batch_size',
            )
        self.sampler, self.max_tokens, self.padded = sampler, max_tokens, padded
        self.lengths: Sequence[int] = lengths
        long = [length for length in lengths if length > max_tokens]
        if long and sampler.rank == 0:
            LOGGER.warning(
                "%d of %d slides have more than max_tokens %d tiles, the longest %d: each is a "
                "batch of its own",
                len(long),
                len(lengths),
                max_tokens,
                max(long),
            )

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield this rank's batches from draw :attr:`start` on."""
        draw = self.start
        for number in itertools.count():
            end = self.end_of_batch(draw)
            if number % self.sampler.world_size == self.sampler.rank:
                yield [(self.sampler.index(n), n) for n in range(draw, end)]
            draw = end

    @property
    def start(self) -> int:
        """The first draw of a run, or of its resumed part."""
        return self.sampler.start

    @start.setter
    def start(self, draw: int) -> None:
        self.sampler.start = draw

    @property
    def draws_per_epoch(self) -> int:
        """Items of the dataset."""
        return self.sampler.draws_per_epoch

    def end_of_batch(self, draw: int) -> int:
        """Return the first draw after the batch that begins with a draw."""
        longest = total = 0
        for end in itertools.count(draw):
            length = self.lengths[self.sampler.index(end)]
            longest, total = max(longest, length), total + length
            tokens = longest * (end - draw + 1) if self.padded else total
            if tokens > self.max_tokens and end > draw:
                break
        return end

    def __str__(self) -> str:
        return f"at most {self.max_tokens:,} tokens"
