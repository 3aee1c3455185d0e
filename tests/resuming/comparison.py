"""What a run has left, in a form that two runs can be compared in, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.plugin_event_accumulator import (
    TENSORS,
    EventAccumulator,
)

from gigakit.engine.checkpoint import list_checkpoints, load_checkpoint

# what may differ between equal runs: time spent, and the name of the folder
_NOT_COMPARED = ("spent", "experiment_name")
_SPEED = "perf/"


def left_by(folder: Path) -> dict[str, Any]:
    """Return the last checkpoint's content, the logged rows and the TensorBoard events of a run."""
    newest = list_checkpoints(folder)[0]
    return {
        "checkpoint": {"name": newest.name, **load_checkpoint(newest)},
        "scalars.jsonl": logged_rows(folder),
        "events": logged_events(folder),
    }


def logged_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of ``scalars.jsonl`` without those numbers that measure speed."""
    lines = (folder / "scalars.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [{k: v for k, v in row.items() if not k.startswith(_SPEED)} for row in rows]


def logged_events(folder: Path) -> dict[str, list[tuple[int, bytes]]]:
    """Return steps and values by tag, as TensorBoard shows them; of the config's text the steps."""
    events = EventAccumulator(str(folder), size_guidance={TENSORS: 0}).Reload()
    return {
        tag: [
            (e.step, b"" if tag.startswith("config") else _content(e)) for e in events.Tensors(tag)
        ]
        for tag in events.Tags()[TENSORS]
        if not tag.startswith(_SPEED)
    }


def _content(event: Any) -> bytes:
    content: bytes = event.tensor_proto.SerializeToString(deterministic=True)
    return content


def differences(one: Any, two: Any, name: str = "run") -> Iterator[str]:
    """Yield a line for each value that is not the same, bit for bit, in both."""
    if isinstance(one, dict) and isinstance(two, dict):
        for key in {**one, **two}:
            if key in _NOT_COMPARED or str(key).startswith(_SPEED):
                continue
            if key not in one or key not in two:
                yield f"{name}.{key} is in the {'first' if key in one else 'second'} run alone"
            else:
                yield from differences(one[key], two[key], f"{name}.{key}")
    elif isinstance(one, list | tuple) and isinstance(two, list | tuple):
        if len(one) != len(two):
            yield f"{name} has {len(one)} entries in the first run, {len(two)} in the second"
        for number, (a, b) in enumerate(zip(one, two, strict=False)):
            yield from differences(a, b, f"{name}[{number}]")
    elif not _same_bits(one, two):
        yield f"{name} differs ({_summary(one)}, {_summary(two)})"


def _same_bits(one: Any, two: Any) -> bool:
    if not isinstance(one, torch.Tensor) or not isinstance(two, torch.Tensor):
        # the text of a float tells its bits, and a NaN is itself
        return type(one) is type(two) and repr(one) == repr(two)
    if (one.dtype, one.shape) != (two.dtype, two.shape):
        return False
    return torch.equal(*(t.contiguous().flatten().view(torch.uint8) for t in (one, two)))


def _summary(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {tuple(value.shape)} sum {value.double().sum().item()!r}"
    return repr(value)[:60]
