"""The workarounds keep what they work around at bay."""

from mmengine.logging import MessageHub, MMLogger

from gigakit.engine.compat import (
    HISTORY_LENGTH,
    limit_histories,
    message_hub_from_state,
    message_hub_state,
    scoped_run,
)
from gigakit.engine.train import train


def test_histories_stay_bounded():
    with scoped_run():
        hub = MessageHub.get_instance("bounded")
        for step in range(HISTORY_LENGTH + 500):
            hub.update_scalar("train/loss", float(step))
            limit_histories(hub)
        values, counts = hub.get_scalar("train/loss").data
        assert len(values) == len(counts) == HISTORY_LENGTH
        assert values[-1] == HISTORY_LENGTH + 499


def test_message_hub_survives_the_round_trip():
    with scoped_run():
        hub = MessageHub.get_instance("one")
        hub.update_scalar("train/loss", 0.25)
        hub.update_scalar("train/loss", 0.5)
        hub.update_info("iter", 7)
        other = MessageHub.get_instance("two")
        other.load_state_dict(message_hub_from_state(message_hub_state(hub)))
        assert other.get_scalar("train/loss").data[0].tolist() == [0.25, 0.5]
        assert other.get_info("iter") == 7


def test_runs_leave_nothing_global_behind(toy, tmp_path):
    before = set(MMLogger._instance_dict), set(MessageHub._instance_dict)
    train(toy.config(train_cfg__max_steps=1), work_dir=tmp_path)
    assert (set(MMLogger._instance_dict), set(MessageHub._instance_dict)) == before
