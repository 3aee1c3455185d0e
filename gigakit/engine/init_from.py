"""Starting from the weights of another run, and nothing else of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from gigakit.core.errors import CheckpointError
from gigakit.engine.checkpoint import read_run_weights


@dataclass(frozen=True)
class InitReport:
    """What a weight file gave a model: names of the model's and the file's tensors.

    Attributes:
        matched: loaded, same name and shape.
        missing: in the model, not in the file.
        unexpected: in the file, not in the model.
        mismatched: in both, of different shapes.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]

    @property
    def fraction(self) -> float:
        """Fraction of the model's tensors that were loaded."""
        return len(self.matched) / max(
            1, len(self.matched) + len(self.missing) + len(self.mismatched)
        )

    def __str__(self) -> str:
        return (
            f"{len(self.matched)} tensors matched, {len(self.missing)} missing, "
            f"{len(self.unexpected)} unexpected, {len(self.mismatched)} of another shape"
        )


def init_from(model: nn.Module, path: Path, *, min_fraction: float = 0.9) -> InitReport:
    """Load the weights of a file into a model, and nothing else of the run it comes from.

    Args:
        model: what receives the weights.
        path: a safetensors file, a checkpoint of a run, or a torch file of weights.
        min_fraction: smallest fraction of the model's tensors that must match.

    Raises:
        CheckpointError: fewer match (the model is left untouched), or the file cannot be read.
    """
    # a wrapper for several processes puts its own name before every tensor's
    given = {name.removeprefix("module."): value for name, value in read_run_weights(path).items()}
    own = model.state_dict()
    shared = [name for name in own if name in given]
    report = InitReport(
        matched=tuple(name for name in shared if own[name].shape == given[name].shape),
        missing=tuple(name for name in own if name not in given),
        unexpected=tuple(name for name in given if name not in own),
        mismatched=tuple(name for name in shared if own[name].shape != given[name].shape),
    )
    if report.fraction < min_fraction:
        examples = ", ".join((*report.mismatched, *report.missing)[:3])
        raise CheckpointError(
            f"fits too little of the model: {report} (such as {examples})",
            where=path,
            fix=f"at least {min_fraction:.0%} of the model's tensors must match",
        )
    model.load_state_dict({name: given[name] for name in report.matched}, strict=False)
    return report
