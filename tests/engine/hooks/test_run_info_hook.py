"""What components may ask the message hub."""

from gigakit.engine.checkpoint import load_checkpoint
from gigakit.engine.train import train


def test_the_epoch_of_a_step_does_not_depend_on_where_the_run_was_resumed(toy, tmp_path):
    values = toy.config(interval=12)
    train(values, work_dir=tmp_path)
    state = load_checkpoint(tmp_path / "checkpoints" / "step-00000024.pth")
    # 5 steps an epoch
    assert state["message_hub"]["runtime_info"]["epoch"] == 4
    assert state["message_hub"]["runtime_info"]["iter"] == 23
