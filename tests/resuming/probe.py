"""What a test sees of a run from inside its process, and where it kills it.

Nothing of this is in the product. It enters by Python's own doors (profile and audit hooks) and by
public names: a hook in HOOKS, a dataset's ``__getitem__``, ``torch.save``.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook

from gigakit.registry import DATASETS, HOOKS


@HOOKS.register_module()
class ProbeHook(Hook):
    """Note the place that a run is at, its random state and its losses; die after some calls.

    Files in ``folder``: ``place`` (start, step, validation or end, rewritten), ``calls`` (Python
    calls from before the first step to the end of the last) and ``steps-<rank>.jsonl`` (a row for
    each step with digests of random state and batch, and the loss).

    Args:
        folder: where to write.
        counts_calls: count calls, at the price of slower steps.
        kill_after_calls: number of calls after which the process kills itself.
    """

    # after the hooks that seed, draw and log
    priority = "VERY_LOW"

    def __init__(
        self, *, folder: str, counts_calls: bool = True, kill_after_calls: int | None = None
    ) -> None:
        self.folder, self.counts_calls = Path(folder), counts_calls
        self.kill_after_calls = kill_after_calls
        self.calls, self.process = 0, os.getpid()
        self.row: dict[str, Any] = {}
        self.losses: list[float] = []

    def before_train(self, runner: Any) -> None:
        self._note("start")
        # what the loop hands to hooks is the mean over the ranks
        objective = getattr(runner.model, "module", runner.model)
        objective.register_forward_hook(self._keep_loss)
        if self.counts_calls:
            sys.setprofile(self._count)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self._note("step")
        random_state = torch.get_rng_state().numpy().tobytes()
        self.row = {
            "step": batch_idx + 1,
            "random": hashlib.sha256(random_state).hexdigest(),
            "batch": digest(data_batch),
        }

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.row["loss"] = self.losses
        self.losses = []
        with (self.folder / f"steps-{runner.rank}.jsonl").open("a") as stream:
            stream.write(json.dumps(self.row) + "\n")
        if self.counts_calls and batch_idx + 1 == runner.max_iters:
            sys.setprofile(None)
            (self.folder / "calls").write_text(str(self.calls))

    def before_val(self, runner: Any) -> None:
        self._note("validation")

    def after_val(self, runner: Any) -> None:
        self._note("step")

    def after_train(self, runner: Any) -> None:
        self._note("end")

    def _keep_loss(self, _objective: Any, _batch: Any, outputs: Any) -> None:
        # mmengine adds up what is named a loss
        losses = [v for k, v in outputs.items() if "loss" in k] if isinstance(outputs, dict) else []
        if losses:
            self.losses.append(float(sum(losses).detach()))

    def _note(self, word: str) -> None:
        # in one piece: a kill between emptying the file and filling it would leave no word
        descriptor = os.open(self.folder / "place", os.O_WRONLY | os.O_CREAT)
        os.pwrite(descriptor, word.ljust(10).encode(), 0)
        os.close(descriptor)

    def _count(self, _frame: Any, event: str, _argument: Any) -> None:
        if event == "call":
            self.calls += 1
            # forked loader workers count too, and must not die in the run's place
            if self.calls == self.kill_after_calls and os.getpid() == self.process:
                die()


def die() -> None:
    """End this process as kill -9 does."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(event: str, file: str, occurrence: int) -> None:
    """Kill this process as it is about to rename to, or remove, a file.

    Args:
        event: ``rename`` or ``remove``.
        file: how the name of the file begins.
        occurrence: which of such events, from 0.
    """
    process, seen = os.getpid(), 0

    def watch(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if name != f"os.{event}" or os.getpid() != process:
            return
        if Path(os.fsdecode(arguments[1 if event == "rename" else 0])).name.startswith(file):
            if seen == occurrence:
                die()
            seen += 1

    sys.addaudithook(watch)


def tear_checkpoint(occurrence: int, fraction: float) -> None:
    """Kill this process when a fraction of a checkpoint's bytes is written.

    Args:
        occurrence: which checkpoint that this process writes, from 0.
        fraction: of the bytes.
    """
    save, seen = torch.save, 0

    def torn(state: Any, file: Any, *args: Any, **options: Any) -> None:
        nonlocal seen
        if seen < occurrence:
            seen += 1
            save(state, file, *args, **options)
            return
        whole = io.BytesIO()
        save(state, whole, *args, **options)
        part = whole.getvalue()[: int(len(whole.getvalue()) * fraction)]
        with file if hasattr(file, "write") else Path(file).open("wb") as stream:
            stream.write(part)
        die()

    torch.save = torn


def log_reads(dataset: str, path: Path) -> None:
    """Append the number of each draw that a dataset of this name makes to a file."""
    kind = DATASETS.get(dataset)
    read = kind.__getitem__

    def logged(self: Any, key: Any) -> Any:
        # an evaluation asks by index alone
        if isinstance(key, tuple):
            with path.open("a") as stream:
                stream.write(f"{key[1]}\n")
        return read(self, key)

    kind.__getitem__ = logged


def digest(value: Any) -> str:
    """Return a digest of the tensors in a batch."""
    hashed = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            hashed.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        elif isinstance(value, dict | list | tuple):
            for entry in value.values() if isinstance(value, dict) else value:
                add(entry)

    add(value)
    return hashed.hexdigest()
