"""When a loss is called unusual, and when not."""

import types

import numpy as np
import pytest
from mmengine.logging import HistoryBuffer, MessageHub

from gigakit.core.errors import ConfigError
from gigakit.engine.hooks.loss_spike_hook import LossSpikeHook
from gigakit.engine.train import train


def warnings_of(losses, caplog, hook=None, batch=None, start=0):
    """Return the warnings and the logged counts of a run with these losses."""
    hook = hook or LossSpikeHook()
    hub = MessageHub(f"spikes-{id(losses)}")
    loop = types.SimpleNamespace(draws_at=lambda step: 4 * step)
    runner = types.SimpleNamespace(message_hub=hub, train_loop=loop)
    hook.before_train(runner)
    caplog.clear()
    counts = []
    for step, loss in enumerate(losses, start):
        hub.log_scalars["train/loss"] = HistoryBuffer([loss], [1])
        hook.after_train_iter(runner, step, batch)
        counts.append(hub.get_scalar("train/loss_spikes").data[0][-1])
    return [record.getMessage() for record in caplog.records], counts


def noise(steps, seed=0):
    return np.random.default_rng(seed).standard_normal(steps)


@pytest.mark.parametrize(
    "losses",
    [
        pytest.param(3 * np.exp(-np.arange(5000) / 500) + 0.5 + 0.05 * noise(5000), id="falling"),
        pytest.param(1 + 0.1 * noise(20000), id="noise"),
        pytest.param(1 + 1e-9 * noise(3000), id="plateau"),
        pytest.param(np.exp(0.3 * noise(20000)), id="skewed"),
        pytest.param(np.full(1000, 0.7), id="constant"),
        pytest.param(np.concatenate([np.full(5, 90.0), np.full(500, 1.0)]), id="first steps"),
        pytest.param(np.full(500, np.nan), id="skipped steps"),
        pytest.param(10 + 0.8 * np.sin(np.arange(5000) / 300) + 0.1 * noise(5000), id="waves"),
    ],
)
def test_a_healthy_loss_is_silent(losses, caplog):
    assert warnings_of(losses, caplog)[0] == []


def test_a_spike_is_told_once_with_step_range_and_data(caplog):
    losses = 1 + 0.05 * noise(1000)
    losses[600:605] = 4.0
    told, counts = warnings_of(losses, caplog, batch={"slide_id": ["a", "b", "a"]})
    (line,) = told
    assert line.startswith("step 601: the loss jumped to 4, usually about 0.99")
    assert line.endswith("draws 2400 to 2403, slides a, b")
    assert (counts[599], counts[600], counts[-1]) == (0, 1, 1)


def test_two_spikes_far_apart_are_two(caplog):
    losses = 1 + 0.05 * noise(1000)
    losses[[300, 310, 900]] = 4.0
    assert len(warnings_of(losses, caplog)[0]) == 2


def test_a_slow_divergence_is_told(caplog):
    losses = np.concatenate([np.full(500, 1.0), np.linspace(1, 3, 5000)]) + 0.02 * noise(5500)
    told, _ = warnings_of(losses, caplog)
    assert told
    assert "the loss has risen from" in told[0]
    assert int(told[0].split(":")[0].removeprefix("step ")) < 2500


def test_what_it_has_seen_survives_a_resume(caplog):
    losses = 1 + 0.05 * noise(800)
    losses[[350, 700]] = 4.0
    whole = warnings_of(losses, caplog)
    first, second = LossSpikeHook(), LossSpikeHook()
    warnings_of(losses[:400], caplog, first)
    checkpoint = {}
    first.before_save_checkpoint(None, checkpoint)
    second.after_load_checkpoint(None, checkpoint)
    second.after_load_checkpoint(None, {})
    told, counts = warnings_of(losses[400:], caplog, second, start=400)
    assert len(told) == 1
    assert counts == whole[1][400:]


@pytest.mark.parametrize("values", [{"window_steps": 19}, {"deviations": 0.0}, {"min_rise": -1.0}])
def test_unusable_values_are_refused(values):
    with pytest.raises(ConfigError, match=f"LossSpikeHook.{next(iter(values))}"):
        LossSpikeHook(**values)


def test_its_count_is_logged(toy, tmp_path):
    train(toy.config(custom_hooks=[{"type": "LossSpikeHook"}]), work_dir=tmp_path)
    rows = [row for row in toy.logged(tmp_path) if "train/loss" in row]
    assert [row["train/loss_spikes"] for row in rows] == [0.0] * len(rows)
