"""Processes that are killed, and go on as if nothing had happened."""

import multiprocessing
import signal

import pytest
import torch

from gigakit.core.errors import CheckpointError
from gigakit.engine.checkpoint import list_checkpoints, load_checkpoint
from gigakit.engine.train import train


@pytest.mark.parametrize(("workers", "then", "step"), [(0, 2, 11), (2, 0, 14)])
def test_a_killed_run_ends_bit_identical(toy, toy_process, finished, tmp_path, workers, then, step):
    """Dropout and augmentation noise are on; the worker count changes at the resume."""
    folder, reads = tmp_path / "run", tmp_path / "reads"
    assert toy_process(folder, workers=workers, signal_at=step) == [-signal.SIGKILL]
    assert list_checkpoints(folder)[0].name == f"step-{step // 4 * 4:08d}.pth"
    changed = toy.config(workers=then, train_dataloader__dataset__read_log=str(reads))
    result = train(changed, work_dir=folder, resume=True)
    assert result.steps == 25
    assert toy.digest(folder) == toy.digest(finished)
    assert toy.logged(folder) == toy.logged(finished)
    # what was trained on before the checkpoint is not read again
    assert min(map(int, reads.read_text().split())) == step // 4 * 4 * 3


def test_a_kill_in_the_middle_of_a_checkpoint_loses_nothing(toy, finished, tmp_path):
    folder = tmp_path / "run"
    train(toy.config(train_cfg__max_steps=8, param_scheduler=None), work_dir=folder)
    newest, before = list_checkpoints(folder)
    part = newest.with_name(f".{newest.name}.x.part")
    part.write_bytes(newest.read_bytes()[:999])
    newest.write_bytes(newest.read_bytes()[:999])
    train(toy.config(train_cfg__max_steps=10, param_scheduler=None), work_dir=folder, resume=True)
    log = (folder / "train.log").read_text()
    assert f"{newest} is damaged or truncated" in log
    assert "resumed epoch: 0, iter: 4" in log
    assert not part.exists()
    assert before.name == "step-00000004.pth"


def test_resumed_with_another_batch_it_reads_on_where_it_was_and_says_so(toy, tmp_path, capsys):
    train(toy.config(train_cfg__max_steps=6, batch_size=3), work_dir=tmp_path / "run")
    reads = tmp_path / "reads"
    changed = toy.config(batch_size=2, train_dataloader__dataset__read_log=str(reads))
    train(changed, work_dir=tmp_path / "run", resume=True)
    draws = [int(line) for line in reads.read_text().split()]
    # 5 epochs of 7 steps of 2, of which 6 steps have been made
    assert draws == list(range(18, 18 + 29 * 2))
    told = "a step took 3 samples before the resume and takes 2 now"
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_checkpoint_of_an_older_version_is_refused(toy, tmp_path):
    train(toy.config(train_cfg__max_steps=2), work_dir=tmp_path)
    path = list_checkpoints(tmp_path)[0]
    state = load_checkpoint(path)
    del state["meta"]["draws"]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match="whose runs this one cannot go on with"):
        train(toy.config(), work_dir=tmp_path, resume=True)


def test_first_ctrl_c_writes_a_checkpoint_and_exits_130(toy, toy_process, finished, tmp_path):
    folder = tmp_path / "run"
    assert toy_process(folder, workers=2, signal_at=6, number=int(signal.SIGINT)) == [130]
    assert list_checkpoints(folder)[0].name == "step-00000006.pth"
    assert train(toy.config(), work_dir=folder, resume=True).status == "done"
    assert toy.digest(folder) == toy.digest(finished)


def test_second_signal_stops_at_once_and_handlers_are_restored(toy, tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    hook = {"type": "KillHook", "step": 6, "number": int(signal.SIGINT), "times": 2}
    with pytest.raises(Exception, match="stopped at once") as caught:
        train(toy.config(custom_hooks=[hook]), work_dir=tmp_path)
    assert caught.value.exit_code == 130
    assert list_checkpoints(tmp_path)[0].name == "step-00000004.pth"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_loader_workers_end_with_the_run(toy, tmp_path):
    train(toy.config(workers=2, train_cfg__max_steps=3), work_dir=tmp_path)
    assert multiprocessing.active_children() == []


def test_resume_of_a_finished_run_trains_no_step(toy, tmp_path):
    train(toy.config(train_cfg__max_steps=3), work_dir=tmp_path)
    digest = toy.digest(tmp_path)
    result = train(toy.config(train_cfg__max_steps=3), work_dir=tmp_path, resume=True)
    assert (result.status, result.steps) == ("done", 3)
    assert result.metrics["toy/samples"] == 10
    assert toy.digest(tmp_path) == digest
