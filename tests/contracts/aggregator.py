"""What every aggregator must hold; an aggregator's test class inherits this.

The subclass gives ``config``, a ``naive(model, x)`` formula of one slide's embedding where there is
one, and says whether the order and the places of tiles count.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import pytest
import torch

from gigakit.registry import AGGREGATORS

WIDTH = 12


class AggregatorContract:
    """Shapes, gradients, padding, batches, permutations, and the naive formula."""

    config: ClassVar[dict[str, Any]]
    order_counts = False
    has_attention = True
    per_class = 0

    def naive(self, model, x):
        """Compute one slide's embedding from ``(L, D_in)`` by the formula, or skip."""
        pytest.skip("compared with another oracle")

    def build(self, **changes):
        torch.manual_seed(0)
        model = AGGREGATORS.build({"input_dim": WIDTH, **copy.deepcopy(self.config), **changes})
        return model.double().eval()

    def bags(self, lengths=(11, 4, 7)):
        """Return features, grid and padding mask; what is padded is loud."""
        generator = torch.Generator().manual_seed(1)
        longest = max(lengths)
        shape = (len(lengths), longest)
        x = torch.randn(*shape, WIDTH, generator=generator, dtype=torch.float64)
        grid = torch.randint(0, 20, (*shape, 2), generator=generator).double()
        padding = torch.arange(longest)[None] >= torch.tensor(lengths)[:, None]
        x[padding] = 1e3
        grid[padding] = 77.0
        return x, grid, padding

    def test_shapes_dtypes_and_gradients(self):
        model = self.build().train()
        x, grid, padding = self.bags()
        x.requires_grad_()
        found = model(x, grid=grid, padding_mask=padding)
        branches = (self.per_class,) if self.per_class else ()
        assert found.embedding.shape == (3, *branches, model.width)
        assert found.embedding.dtype == x.dtype
        (found.embedding.sin()).sum().backward()
        assert x.grad.isfinite().all()
        assert x.grad[padding].abs().sum() == 0
        assert all(x.grad[row].abs().sum() > 0 for row in range(3))

    def test_results_depend_neither_on_padding_nor_on_other_slides(self):
        model = self.build()
        x, grid, padding = self.bags()
        together = model(x, grid=grid, padding_mask=padding)
        for row, length in enumerate((11, 4, 7)):
            alone = model(x[row : row + 1, :length], grid=grid[row : row + 1, :length])
            assert (together.embedding[row] - alone.embedding[0]).abs().max() < 1e-10
            if self.has_attention:
                weights = together.attention[row, :length]
                assert (weights - alone.attention[0]).abs().max() < 1e-12
                assert together.attention[row, length:].abs().sum() == 0

    def test_attention_sums_to_one(self):
        x, grid, padding = self.bags()
        found = self.build()(x, grid=grid, padding_mask=padding)
        assert (found.attention is not None) == self.has_attention
        if self.has_attention:
            assert found.attention.shape == (3, 11)
            assert (found.attention.sum(dim=1) - 1).abs().max() < 1e-12
            assert (found.attention >= 0).all()

    def test_the_order_of_tiles_counts_only_where_it_is_said(self):
        model = self.build()
        x, grid, _ = self.bags((11,))
        order = torch.randperm(11, generator=torch.Generator().manual_seed(3))
        one, other = model(x, grid=grid), model(x[:, order], grid=grid[:, order])
        apart = (one.embedding - other.embedding).abs().max()
        assert (apart > 1e-6) if self.order_counts else (apart < 1e-10)
        if self.has_attention:
            assert (one.attention[:, order] - other.attention).abs().max() < 1e-12

    def test_a_slide_of_one_tile(self):
        x, grid, _ = self.bags((1,))
        found = self.build()(x, grid=grid)
        assert found.embedding.isfinite().all()

    def test_it_is_its_formula(self):
        model = self.build()
        x, grid, padding = self.bags()
        found = model(x, grid=grid, padding_mask=padding).embedding
        for row, length in enumerate((11, 4, 7)):
            assert (found[row] - self.naive(model, x[row, :length])).abs().max() < 1e-10
