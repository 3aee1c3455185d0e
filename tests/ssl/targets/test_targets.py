"""Teacher probabilities against the published code, its definition, and several processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contracts.ranks import in_two_processes

from gigakit.core.errors import ConfigError
from gigakit.registry import TARGETS

SETTINGS = {"rtol": 1e-5, "atol": 1e-7}


def build(name, prototypes=96, **changes):
    return TARGETS.build({"type": name, **changes}, prototypes=prototypes)


@pytest.fixture
def arrays(shared):
    def read(name):
        with np.load(shared / f"reference/ssl/{name}.npz") as file:
            return {key: torch.from_numpy(np.asarray(value)) for key, value in file.items()}

    return read


def test_centering_follows_four_published_steps(arrays):
    found = arrays("dino_loss")
    centering = build("Centering")
    temperature = float(found["teacher_temp"])
    for step, logits in enumerate(found["center_teacher_logits_steps"]):
        torch.testing.assert_close(
            centering.center, found["center_used_at_steps"][step][0], **SETTINGS
        )
        torch.testing.assert_close(
            centering(logits, temperature), found["center_probs_steps"][step], **SETTINGS
        )
    torch.testing.assert_close(centering.center, found["center_after_last"][0], **SETTINGS)


def test_centering_of_patches_follows_the_published_steps(arrays):
    found = arrays("ibot_loss")
    centering = build("Centering", 80)
    for step in range(3):
        torch.testing.assert_close(
            centering.center, found["center_used_at_steps"][step], **SETTINGS
        )
        logits = found["teacher_masked_logits"] * found["center_step_scale"][step].float()
        probabilities = centering(
            logits + found["center_step_shift"][step].float(), float(found["teacher_temp"])
        )
    torch.testing.assert_close(probabilities, found["center_probs_step2"], **SETTINGS)
    torch.testing.assert_close(centering.center, found["center_after_last"], **SETTINGS)


def test_without_samples_the_center_stays():
    centering = build("Centering", 5)
    centering.center += 1.0
    assert centering(torch.zeros(0, 5), 0.04).shape == (0, 5)
    assert centering.center.tolist() == [1.0] * 5


def test_the_center_is_part_of_a_checkpoint():
    centering = build("Centering", 5)
    centering(torch.randn(4, 5, generator=torch.Generator().manual_seed(0)), 0.04)
    again = build("Centering", 5)
    again.load_state_dict(centering.state_dict())
    assert torch.equal(again.center, centering.center)
    assert centering.center.abs().sum() > 0


@pytest.mark.parametrize("iterations", [1, 3, 5])
def test_sinkhorn_is_the_published_one(arrays, iterations):
    found = arrays("dino_loss")
    sinkhorn = build("SinkhornKnopp", iterations=iterations)
    probabilities = sinkhorn(found["teacher_logits"].flatten(0, 1), float(found["teacher_temp"]))
    torch.testing.assert_close(
        probabilities, found[f"sinkhorn_probs_it{iterations}"], rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("iterations", [1, 3])
def test_sinkhorn_of_patches_is_the_published_one(arrays, iterations):
    found = arrays("ibot_loss")
    sinkhorn = build("SinkhornKnopp", iterations=iterations)
    probabilities = sinkhorn(found["teacher_masked_logits"], float(found["teacher_temp"]))
    torch.testing.assert_close(
        probabilities, found[f"sinkhorn_probs_it{iterations}"], rtol=1e-5, atol=1e-7
    )


def test_large_logits_do_not_overflow(arrays):
    found = arrays("sinkhorn_large_logits")
    sinkhorn = build("SinkhornKnopp", iterations=int(found["iterations"]))
    temperature = float(found["teacher_temp"])
    expected = found["expected_logdomain_float64"]
    exact = sinkhorn(found["logits"].double(), temperature)
    torch.testing.assert_close(exact, expected, rtol=1e-10, atol=1e-14)
    # float32 holds logits of thousands to four digits behind the point
    half = sinkhorn(found["logits"], temperature)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.double(), expected, rtol=2e-3, atol=1e-6)


def test_sinkhorn_shares_out_evenly():
    logits = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    probabilities = build("SinkhornKnopp", iterations=50)(logits, 0.5)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(64))
    torch.testing.assert_close(probabilities.sum(dim=0), torch.full((8,), 8.0), rtol=1e-3, atol=0)
    assert build("SinkhornKnopp")(logits[:0], 0.5).shape == (0, 8)


@pytest.mark.parametrize("kind", ["Centering", "SinkhornKnopp"])
@pytest.mark.parametrize("count", [0, 1, 7, 9])
def test_rows_that_fill_up_count_for_nothing(kind, count):
    generator = torch.Generator().manual_seed(0)
    plain, filled = build(kind, 5), build(kind, 5)
    for _ in range(3):
        logits = torch.randn(count, 5, generator=generator)
        # whatever they hold
        padding = torch.full((4, 5), 1e4)
        expected = plain(logits, 0.1)
        found = filled(torch.cat([logits, padding]), 0.1, count=torch.tensor(count))
        torch.testing.assert_close(found[:count], expected, rtol=1e-6, atol=1e-7)
        assert found.isfinite().all()
    if kind == "Centering":
        torch.testing.assert_close(filled.center, plain.center, rtol=1e-6, atol=1e-8)


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="momentum"):
        build("Centering", momentum=1.5)
    with pytest.raises(ConfigError, match="iterations"):
        build("SinkhornKnopp", iterations=0)


def rank(number, file):
    with np.load(file) as arrays:
        own = {
            key.removeprefix(f"rank{number}_"): torch.from_numpy(arrays[key])
            for key in arrays
            if key.startswith(f"rank{number}_")
        }
    for kind, width in (("cls", 48), ("patch", 40)):
        logits = own[f"teacher_{kind}"]
        shared_out = build("SinkhornKnopp")(logits, TEMPERATURE)
        torch.testing.assert_close(shared_out, own[f"{kind}_sinkhorn"], rtol=1e-5, atol=1e-7)
        centering = build("Centering", width)
        first = centering(logits, TEMPERATURE)
        torch.testing.assert_close(first, own[f"{kind}_center_probs_step0"], **SETTINGS)
        # a shift of all logits moves the center, and no probability
        second = centering(logits + 0.1, TEMPERATURE)
        torch.testing.assert_close(second, own[f"{kind}_center_probs_step1"], **SETTINGS)
        torch.testing.assert_close(centering.center, own[f"{kind}_center_final"], **SETTINGS)
    # one process has no masked token: its partner's center is both's
    centering = build("Centering", 3)
    centering(torch.ones(number, 3), 1.0)
    torch.testing.assert_close(centering.center, torch.full((3,), 0.1))
    assert build("SinkhornKnopp")(torch.ones(number, 3), 1.0).shape == (number, 3)
    for kind in ("Centering", "SinkhornKnopp"):
        plain, filled = build(kind, 40), build(kind, 40)
        logits, count = own["teacher_patch"], torch.tensor(len(own["teacher_patch"]))
        for _ in range(2):
            # both processes have one length, as with constant batches
            rows = torch.cat([logits, logits.new_full((20 - len(logits), 40), 9.0)])
            found = filled(rows, TEMPERATURE, count=count)[: len(logits)]
            torch.testing.assert_close(found, plain(logits, TEMPERATURE), rtol=1e-5, atol=1e-7)


TEMPERATURE = 0.05


def test_two_processes_get_what_the_published_code_gives_them(shared, tmp_path):
    file = str(shared / "reference/ssl/distributed_targets.npz")
    in_two_processes(rank, tmp_path, file)
