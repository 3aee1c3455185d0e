"""The measured matmul rate."""

import pytest
import torch

from gigakit.engine import matmul_peak as module
from gigakit.engine.matmul_peak import matmul_peak

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose only entry is the time."""
    now = [0.0]
    monkeypatch.setattr("gigakit.engine.matmul_peak.time.perf_counter", lambda: now[0])
    return now


@pytest.fixture(autouse=True)
def _nothing_measured():
    module._measured.cache_clear()
    yield
    module._measured.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_measured_once_and_draws_no_random_numbers(dtype):
    before = torch.random.get_rng_state()
    peak = matmul_peak(CPU, dtype)
    assert peak > 1e8
    assert torch.equal(torch.random.get_rng_state(), before)
    assert matmul_peak(CPU, dtype) == peak
    assert module._measured.cache_info().misses == 1


def test_it_is_the_best_rate_of_the_sizes_that_the_budget_allows(clock, monkeypatch):
    rates = {256: 1e9, 512: 3e9, 1024: 2e9, 2048: 9e9}
    asked = []

    def best_seconds(matrix):
        asked.append(len(matrix))
        seconds = 2 * len(matrix) ** 3 / rates[len(matrix)]
        clock[0] += module._SECONDS_PER_SIZE
        return seconds

    monkeypatch.setattr(module, "best_product_seconds", best_seconds)
    monkeypatch.setattr(module, "_BUDGET_SECONDS", 4.0)
    # 2048 would take 4 times 8.6 s at the rate of 1024
    assert matmul_peak(CPU, torch.float32) == pytest.approx(3e9)
    assert asked == [256, 512, 1024]


def test_the_fastest_of_the_repeats_counts(clock, monkeypatch):
    seconds = iter([9.0, 0.5, 0.2, 0.4, 0.1])
    monkeypatch.setattr(
        "gigakit.engine.matmul_peak.torch.mm",
        lambda one, _: clock.__setitem__(0, clock[0] + next(seconds)) or one,
    )
    # the first warms up, three count
    assert module.best_product_seconds(torch.ones(2, 2)) == pytest.approx(0.2)
