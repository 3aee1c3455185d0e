"""Which way a metric is better, told by its name."""

import pytest

from gigakit.ablation.measures import metric_named


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        ("slides/cross_entropy", False),
        ("slides/mae", False),
        ("mine/RMSE", False),
        ("train/loss_dino_global", False),
        ("slides/r2", True),
        ("slides/c_index", True),
        ("slides/macro_auroc", True),
        ("mine/closeness", True),
    ],
)
def test_errors_are_better_where_they_are_lower(name, higher):
    assert metric_named(name).higher_is_better is higher
