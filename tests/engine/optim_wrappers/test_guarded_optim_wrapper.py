"""Steps with a non-finite loss or gradient are not made."""

import json
import math

import pytest
import torch

from gigakit.core.errors import ConfigError, NonFiniteGradientError
from gigakit.engine.checkpoint import list_checkpoints, load_checkpoint
from gigakit.engine.optim_wrappers.guarded_optim_wrapper import GuardedOptimWrapper
from gigakit.engine.train import train


def wrapper(weight, **arguments):
    return GuardedOptimWrapper(torch.optim.SGD([weight], lr=1.0), **arguments)


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_a_bad_step_is_skipped_and_the_next_one_made(factor):
    weight = torch.nn.Parameter(torch.ones(2))
    guard = wrapper(weight)
    guard.update_params((weight * factor).sum())
    assert torch.equal(weight.detach(), torch.ones(2))
    assert (guard.skipped_steps, guard.consecutive_skips) == (1, 1)
    guard.update_params(weight.sum())
    assert torch.equal(weight.detach(), torch.zeros(2))
    assert (guard.skipped_steps, guard.consecutive_skips) == (1, 0)


def test_a_non_finite_loss_with_finite_gradient_counts_too():
    weight = torch.nn.Parameter(torch.ones(2))
    guard = wrapper(weight)
    guard.update_params(weight.sum() + torch.tensor(math.inf))
    assert torch.equal(weight.detach(), torch.ones(2))


def test_one_bad_batch_spoils_its_accumulation_window():
    weight = torch.nn.Parameter(torch.ones(2))
    guard = wrapper(weight, accumulative_counts=2)
    guard.update_params(weight.sum() + torch.tensor(math.inf))
    guard.update_params(weight.sum())
    assert torch.equal(weight.detach(), torch.ones(2))
    guard.update_params(weight.sum())
    guard.update_params(weight.sum())
    assert torch.equal(weight.detach(), torch.zeros(2))


def test_batches_count_by_their_weights():
    # one sample in the first batch, three in the second: the step is the mean of four
    samples = torch.tensor([8.0, 1.0, 2.0, 5.0])
    weight = torch.nn.Parameter(torch.zeros(()))
    guard = wrapper(weight, accumulative_counts=2)
    for batch in (samples[:1], samples[1:]):
        guard.loss_weight = len(batch) * 2 / len(samples)
        guard.update_params((weight * batch).mean())
    assert weight.item() == pytest.approx(-samples.mean().item())


def test_clipping_is_torchs():
    weights = [torch.nn.Parameter(torch.ones(3)) for _ in range(2)]
    guard = wrapper(weights[0], clip_grad={"max_norm": 0.5})
    guard.update_params((weights[0] * torch.tensor([3.0, 4.0, 0.0])).sum())
    (weights[1] * torch.tensor([3.0, 4.0, 0.0])).sum().backward()
    torch.nn.utils.clip_grad_norm_([weights[1]], 0.5)
    expected = weights[1].detach() - weights[1].grad
    assert torch.equal(weights[0].detach(), expected)


def test_each_tensor_may_be_clipped_by_its_own_norm():
    long, short = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    optimizer = torch.optim.SGD([long, short], lr=1.0)
    guard = GuardedOptimWrapper(optimizer, clip_grad={"max_norm": 1.0, "each": True})
    guard.update_params((long * torch.tensor([3.0, 4.0]) + short * torch.tensor([0.3, 0.4])).sum())
    torch.testing.assert_close(long.detach(), torch.tensor([-0.6, -0.8]), rtol=1e-5, atol=0)
    torch.testing.assert_close(short.detach(), torch.tensor([-0.3, -0.4]))


def test_a_run_with_one_bad_sample_goes_on(toy, tmp_path):
    changed = toy.config(train_dataloader__dataset__bad_draws=[20], log_interval=1)
    result = train(changed, work_dir=tmp_path)
    assert (result.status, result.skipped_steps) == ("done", 1)
    rows = [json.loads(line) for line in (tmp_path / "scalars.jsonl").read_text().splitlines()]
    # draw 20 is in the seventh step of three draws
    assert [row["step"] for row in rows if row.get("train/loss", 0) is None] == [7]
    state = load_checkpoint(list_checkpoints(tmp_path)[0])
    assert all(torch.isfinite(value).all() for value in state["state_dict"].values())


def test_many_bad_steps_in_a_row_stop_the_run_with_sound_weights(toy, tmp_path):
    changed = toy.config(train_dataloader__dataset__bad_draws=range(18, 99))
    with pytest.raises(NonFiniteGradientError) as caught:
        train(changed, work_dir=tmp_path)
    told = str(caught.value)
    assert "5 steps in a row had a non-finite loss or gradient, the last one 11" in told
    assert (
        "rank 0, draws 30, 31, 32: loss nan; gradient norm nan, first in blocks.0.0.weight" in told
    )
    assert (
        "blocks.0.0.weight (parameter group decay); checkpoints/step-00000008.pth is sound" in told
    )
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["status"], result["skipped_steps"]) == ("failed", 5)
    state = load_checkpoint(list_checkpoints(tmp_path)[0])
    assert all(torch.isfinite(value).all() for value in state["state_dict"].values())


@pytest.mark.parametrize(
    "wrong",
    [
        {"precision": "fp8"},
        {"accumulative_counts": 0},
        {"max_consecutive_skips": 0},
        {"clip_grad": {"max_value": 1.0}},
    ],
)
def test_bad_arguments_are_config_errors(wrong):
    with pytest.raises(ConfigError):
        wrapper(torch.nn.Parameter(torch.ones(1)), **wrong)


def test_each_part_is_clipped_by_its_own_norm():
    long, short = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    named = [("student.encoder.a", long), ("student.head.b", short)]
    optimizer = torch.optim.SGD([{"params": named}], lr=1.0)
    parts = ["student.encoder", "student.head", "student.patch_head"]
    guard = GuardedOptimWrapper(optimizer, clip_grad={"max_norm": 1.0, "parts": parts})
    guard.update_params((long * torch.tensor([30.0, 40.0])).sum() + (short * 0.3).sum())
    torch.testing.assert_close(long.detach(), torch.tensor([-0.6, -0.8]))
    torch.testing.assert_close(short.detach(), torch.tensor([-0.3, -0.3]))
    logged = guard.message_hub.log_scalars
    assert logged["train/grad_norm/student.encoder"].current() == pytest.approx(50.0)
    assert logged["train/grad_norm/student.head"].current() == pytest.approx(0.3 * 2**0.5)
    assert logged["train/grad_norm"].current() == pytest.approx((2500 + 0.18) ** 0.5)


def test_a_parameter_in_no_part_is_told():
    named = [("student.encoder.a", torch.nn.Parameter(torch.zeros(2)))]
    optimizer = torch.optim.SGD([{"params": named}], lr=1.0)
    guard = GuardedOptimWrapper(
        optimizer, clip_grad={"max_norm": 1.0, "parts": ["student.encoders"]}
    )
    with pytest.raises(ConfigError, match=r"student\.encoder\.a is in none of student\.encoders"):
        guard.update_params(named[0][1].sum())


def test_a_step_without_any_gradient_of_its_own_is_made():
    weight, other = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    guard = wrapper(weight, clip_grad={"max_norm": 1.0})
    guard.update_params(other.sum())
    assert guard.message_hub.log_scalars["train/grad_norm"].current() == 0.0
    assert torch.equal(weight.detach(), torch.ones(2))
