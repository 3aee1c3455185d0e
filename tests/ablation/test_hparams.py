"""TensorBoard reads one session a run, with the axes' labels and the run's own metrics."""

from __future__ import annotations

from tensorboard import context
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups
from tensorboard.summary.writer.record_writer import RecordWriter

from gigakit.ablation.comparison import compare
from gigakit.ablation.hparams import SUFFIX, write_hparams


def log(plan, run, r2):
    """Write the events that a run's own writer would."""
    folder = plan.out / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "events.out.tfevents.1700000000.host.1.0").open("wb") as stream:
        writer = RecordWriter(stream)
        writer.write(Event(wall_time=1.7e9, file_version="brain.Event:2").SerializeToString())
        value = Summary.Value(tag="val/reconstruction/r2", simple_value=r2)
        event = Event(wall_time=1.7e9, step=20, summary=Summary(value=[value]))
        writer.write(event.SerializeToString())


def sessions(folder):
    """Return what TensorBoard's own backend tells of a folder's runs and sessions."""
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    request_context = context.RequestContext()
    experiment = backend.experiment_from_metadata(
        request_context, "", True, backend.hparams_metadata(request_context, ""), []
    )
    columns = [api_pb2.ColParams(hparam=one.name) for one in experiment.hparam_infos]
    columns += [api_pb2.ColParams(metric=one.name) for one in experiment.metric_infos]
    request = api_pb2.ListSessionGroupsRequest(
        slice_size=100, allowed_statuses=[0, 1, 2, 3], col_params=columns
    )
    found = list_session_groups.Handler(request_context, backend, "", request).run()
    return sorted(multiplexer.Runs()), {group.name: group for group in found.session_groups}


def test_one_row_a_run_with_labels_metrics_and_status(plan, finish, begin):
    for number, run in enumerate(plan.runs[:3]):
        log(plan, run, 0.25 * number)
        finish(plan, run, 0.25 * number, downstream={"tile_encoder/linear_balanced_accuracy": 0.5})
    log(plan, plan.runs[3], 0.0)
    finish(plan, plan.runs[3], 0.0, status="failed", reason="x")
    log(plan, plan.runs[4], 0.0)
    begin(plan, plan.runs[4], steps=5)
    for _ in range(2):
        write_hparams(compare(plan))
        runs, found = sessions(plan.out)
        assert runs == sorted(run.folder for run in plan.runs[:5])
        # what goes on has no row yet
        assert list(found) == [run.folder for run in plan.runs[:4]]
    group = found["attention=dilated,mask_ratio=0.75/seed0"]
    labels = {
        name: value.string_value or value.number_value for name, value in group.hparams.items()
    }
    assert labels == {"attention": "dilated", "mask_ratio": 0.75, "seed": 0.0}
    metrics = {one.name.tag: one.value for one in group.metric_values}
    assert metrics["val/reconstruction/r2"] == 0.5
    assert metrics["tile_encoder/linear_balanced_accuracy"] == 0.5
    statuses = [group.sessions[0].status for group in found.values()]
    assert statuses == [api_pb2.STATUS_SUCCESS] * 3 + [api_pb2.STATUS_FAILURE]
    assert len(list(plan.out.rglob(f"*{SUFFIX}"))) == 4


def test_a_run_that_is_taken_up_again_loses_its_row(plan, finish, begin):
    log(plan, plan.runs[0], 0.0)
    finish(plan, plan.runs[0], 0.0, status="interrupted", steps=5)
    write_hparams(compare(plan))
    assert len(list(plan.out.rglob(f"*{SUFFIX}"))) == 1
    begin(plan, plan.runs[0], steps=9)
    write_hparams(compare(plan))
    assert not list(plan.out.rglob(f"*{SUFFIX}"))
