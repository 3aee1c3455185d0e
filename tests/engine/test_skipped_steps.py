"""What is said of a step that was skipped."""

import logging
from types import SimpleNamespace

import pytest
import torch

from gigakit.core.errors import NonFiniteGradientError
from gigakit.engine.batch_plan import BatchPlan
from gigakit.engine.optim_wrappers.guarded_optim_wrapper import Skip
from gigakit.engine.skipped_steps import report_skipped_step


@pytest.fixture
def runner(tmp_path):
    sampler = SimpleNamespace(start=0, draws_per_epoch=100)
    loader = SimpleNamespace(batch_size=2, sampler=sampler)
    loop = SimpleNamespace(plan=BatchPlan(loader, ranks=1, accumulation=2))
    guard = SimpleNamespace(
        last_skip=Skip(float("inf"), ", first in w (parameter group decay)"),
        skipped_steps=3, consecutive_skips=2, max_consecutive_skips=3,
    )  # fmt: skip
    return SimpleNamespace(
        iter=4, train_loop=loop, optim_wrapper=guard, world_size=1,
        work_path=tmp_path, work_dir=str(tmp_path),
    )  # fmt: skip


def losses(total, reconstruction=0.5):
    return {"loss": torch.tensor(total), "reconstruction": torch.tensor(reconstruction)}


def test_the_bad_batch_of_a_window_is_named_with_its_slides_and_losses(runner, caplog):
    batches = [{"slide_id": ["a", "b"]}, {"slide_id": ["c", "c"]}]
    report_skipped_step(runner, batches, [losses(1.0), losses(float("nan"))])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "step 5 is skipped, 3 so far: rank 0, slides c (draws 18, 19): loss nan, "
        "reconstruction 0.5; gradient norm inf, first in w (parameter group decay)"
    )


def test_all_batches_are_named_where_no_loss_is_to_blame(runner, caplog):
    report_skipped_step(runner, [{"x": 1}, {"x": 2}], [losses(1.0), losses(2.0)])
    told = caplog.records[0].getMessage()
    assert "rank 0, draws 16, 17: loss 1, " in told
    assert "; rank 0, draws 18, 19: loss 2, " in told


def test_one_too_many_ends_the_run_and_names_the_checkpoint(runner):
    runner.optim_wrapper.consecutive_skips = 3
    with pytest.raises(NonFiniteGradientError, match=r"look at that data$"):
        report_skipped_step(runner, [{}, {}], [losses(1.0), losses(1.0)])
    (runner.work_path / "last_checkpoint").write_text("checkpoints/step-00000004.pth\n")
    with pytest.raises(NonFiniteGradientError, match=r"step-00000004.pth is sound: .* --resume"):
        report_skipped_step(runner, [{}, {}], [losses(1.0), losses(1.0)])
