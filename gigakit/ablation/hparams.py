"""HParams of TensorBoard: the axes' labels and the final metrics of each run, beside its curves."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gigakit.ablation.comparison import Comparison
from gigakit.ablation.measures import LOSS
from gigakit.ablation.outcomes import Outcome
from gigakit.core.files import atomic_path

SUFFIX = ".hparams"
_EVENTS = "events.out.tfevents."
_SEED = "seed"


def write_hparams(comparison: Comparison) -> None:
    """Write each ended run's labels, seed and status into the run's own folder, as one more file.

    The tab's metrics are the scalars that the run logged itself, so a run stays one run. One that
    goes on has none yet. The file's name follows the run's own in time, as TensorBoard reads them,
    and a resumed run's next one follows it. The same report writes the same bytes.
    """
    for run in comparison.runs:
        folder = comparison.plan.out / run.run.folder
        result = folder / "result.json"
        own = [path for path in folder.glob(f"{_EVENTS}*") if path.suffix != SUFFIX]
        # beside events only: a folder with nothing but these would be an empty run
        ended = run.status not in ("not run", "unfinished") and own and result.is_file()
        time = int(result.stat().st_mtime) + 1 if ended else 0
        path = folder / f"{_EVENTS}{time}{SUFFIX}"
        for earlier in folder.glob(f"{_EVENTS}*{SUFFIX}"):
            if not ended or earlier != path:
                earlier.unlink(missing_ok=True)
        if not ended:
            continue
        content = _records(_events(comparison, run, time))
        if not path.is_file() or path.read_bytes() != content:
            with atomic_path(path) as temporary:
                temporary.write_bytes(content)


def _events(comparison: Comparison, run: Outcome, time: int) -> list[Any]:
    from tensorboard.compat.proto.event_pb2 import Event  # noqa: PLC0415
    from tensorboard.compat.proto.summary_pb2 import Summary  # noqa: PLC0415
    from tensorboard.plugins.hparams import metadata  # noqa: PLC0415

    contents = {
        metadata.EXPERIMENT_TAG: {"experiment": _experiment(comparison)},
        metadata.SESSION_START_INFO_TAG: {"session_start_info": _start(comparison, run)},
        metadata.SESSION_END_INFO_TAG: {"session_end_info": _end(run)},
    }
    values = [
        Summary.Value(tag=tag, metadata=_metadata(content)) for tag, content in contents.items()
    ]
    events = [Event(wall_time=time, file_version="brain.Event:2")]
    events += [Event(wall_time=time, summary=Summary(value=[value])) for value in values]
    # what was scored beside the run has no curve of its own
    scored = {name: value for name, value in run.metrics.items() if f"val/{name}" not in run.curves}
    step = int(run.cost.get("steps") or 0)
    events += [
        Event(
            wall_time=time, step=step, summary=Summary(value=[Summary.Value(tag=n, simple_value=v)])
        )
        for n, v in scored.items()
    ]
    return events


def _experiment(comparison: Comparison) -> Any:
    from tensorboard.plugins.hparams import api_pb2  # noqa: PLC0415

    experiment = api_pb2.Experiment(name=comparison.plan.name)
    for axis in comparison.plan.keys:
        values = [_values(comparison, cell.labels).get(axis) for cell in comparison.cells]
        _add(experiment, axis, [value for value in values if value is not None])
    _add(experiment, _SEED, [float(run.run.seed) for run in comparison.runs])
    for tag, title in _metrics(comparison):
        experiment.metric_infos.add(name=api_pb2.MetricName(tag=tag), display_name=title)
    return experiment


def _add(experiment: Any, name: str, values: Sequence[str | float]) -> None:
    from google.protobuf.struct_pb2 import ListValue  # noqa: PLC0415
    from tensorboard.plugins.hparams import api_pb2  # noqa: PLC0415

    known = ListValue()
    known.extend(list(dict.fromkeys(values)))
    texts = any(isinstance(value, str) for value in values)
    kind = api_pb2.DATA_TYPE_STRING if texts else api_pb2.DATA_TYPE_FLOAT64
    experiment.hparam_infos.add(name=name, type=kind, domain_discrete=known)


def _values(comparison: Comparison, labels: Mapping[str, str]) -> dict[str, str | float]:
    """Return labels as they are, or as numbers where all labels of an axis are."""
    numeric = {
        axis: all(_is_number(cell.labels[axis]) for cell in comparison.cells if axis in cell.labels)
        for axis in labels
    }
    return {axis: float(label) if numeric[axis] else label for axis, label in labels.items()}


def _is_number(label: str) -> bool:
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False


def _metrics(comparison: Comparison) -> list[tuple[str, str]]:
    """Return tags and titles: the chosen metric first, then the other columns, then the loss."""
    shown = [comparison.metric, *comparison.shown]
    curves = {tag for run in comparison.runs for tag in run.curves}
    found = {
        f"val/{one.name}" if f"val/{one.name}" in curves else one.name: one.title
        for one in shown
        if one.name != LOSS
    }
    return [*found.items(), ("train/loss", "loss")]


def _start(comparison: Comparison, run: Outcome) -> Any:
    from tensorboard.plugins.hparams import plugin_data_pb2  # noqa: PLC0415

    start = plugin_data_pb2.SessionStartInfo(group_name=run.run.folder)
    for axis, value in _values(comparison, run.run.labels).items():
        if isinstance(value, str):
            start.hparams[axis].string_value = value
        else:
            start.hparams[axis].number_value = value
    start.hparams[_SEED].number_value = run.run.seed
    return start


def _end(run: Outcome) -> Any:
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2  # noqa: PLC0415

    status = api_pb2.STATUS_SUCCESS if run.done else api_pb2.STATUS_FAILURE
    return plugin_data_pb2.SessionEndInfo(status=status)


def _metadata(content: dict[str, Any]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import SummaryMetadata  # noqa: PLC0415
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2  # noqa: PLC0415

    data = plugin_data_pb2.HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content)
    return SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(
            plugin_name=metadata.PLUGIN_NAME, content=data.SerializeToString()
        )
    )


def _records(events: Iterable[Any]) -> bytes:

    from tensorboard.summary.writer.record_writer import RecordWriter  # noqa: PLC0415

    stream = io.BytesIO()
    writer = RecordWriter(stream)
    for event in events:
        writer.write(event.SerializeToString())
    return stream.getvalue()
