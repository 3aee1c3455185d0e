"""Starting from the weights of another run or of a published encoder, and nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from gigakit.core.errors import CheckpointError
from gigakit.engine.checkpoint import read_run_weights
from gigakit.engine.sharding import like_own
from gigakit.nn.encoder_start import start_encoder
from gigakit.nn.layouts import encoder_prefix
from gigakit.ssl.encoder_parts import StartsFromEncoder


@dataclass(frozen=True)
class InitReport:
    """What a weight file gave a model: names of the model's and the file's tensors.

    Attributes:
        matched: loaded, same name and shape.
        missing: in the model, not in the file; they keep their initial values.
        unexpected: in the file, not in the model.
        mismatched: in both, of different shapes.
        note: what else was done, such as positions that were resized.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]
    note: str = ""

    @property
    def fraction(self) -> float:
        """Fraction of the model's tensors that were loaded."""
        return len(self.matched) / max(
            1, len(self.matched) + len(self.missing) + len(self.mismatched)
        )

    def __str__(self) -> str:
        counts = (
            f"{len(self.matched)} tensors matched, {len(self.missing)} missing, "
            f"{len(self.unexpected)} unexpected, {len(self.mismatched)} of another shape"
        )
        return f"{counts}; {self.note}" if self.note else counts


def init_from(model: nn.Module, path: Path, *, min_fraction: float = 0.9) -> InitReport:
    """Load the weights of a file into a model, and nothing else of the run it comes from.

    A file of one published encoder fills each of the encoders that a
    :class:`~gigakit.ssl.encoder_parts.StartsFromEncoder` names; all of it must fit, see
    :func:`~gigakit.nn.encoder_start.start_encoder`.

    Args:
        model: what receives the weights.
        path: a safetensors file, a checkpoint of a run, or a torch file of weights.
        min_fraction: smallest fraction of the model's tensors that must match; a published
            encoder's file is held to all of the encoder's.

    Raises:
        CheckpointError: fewer match (the model is left untouched), or the file cannot be read.
    """
    # a wrapper for several processes puts its own name before every tensor's
    given = {name.removeprefix("module."): value for name, value in read_run_weights(path).items()}
    if isinstance(model, StartsFromEncoder) and encoder_prefix(given) is not None:
        return _start_encoders(model, model.encoder_parts(), given, path)
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
    _load(model, {name: given[name] for name in report.matched})
    return report


def _start_encoders(
    model: nn.Module, parts: tuple[str, ...], given: Mapping[str, Tensor], path: Path
) -> InitReport:
    starts = {
        part: start_encoder(model.get_submodule(part).state_dict(), given, where=path)
        for part in parts
    }
    # nothing is loaded before all fit
    tensors = {
        f"{part}.{name}": tensor
        for part, start in starts.items()
        for name, tensor in start.tensors.items()
    }
    missing = tuple(name for name in model.state_dict() if name not in tensors)
    prefix = encoder_prefix(given) or ""
    heads = tuple(name for name in given if not name.startswith(prefix))
    unused = tuple(f"{prefix}{name}" for name in next(iter(starts.values())).unused)
    notes = [f"an encoder for {' and '.join(parts)}"]
    notes += dict.fromkeys(start.resized for start in starts.values() if start.resized)
    notes += [f"at initial values: {_grouped(missing)}"] if missing else []
    _load(model, tensors)
    return InitReport(tuple(tensors), missing, (*heads, *unused), (), "; ".join(notes))


def _load(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    model.load_state_dict(like_own(tensors, model.state_dict()), strict=False)


def _grouped(names: tuple[str, ...]) -> str:
    """Name tensors; several of one part, such as a head, by the part and their number."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(".".join(name.split(".")[:2]), []).append(name)
    return ", ".join(
        members[0] if len(members) == 1 else f"{part} ({len(members)})"
        for part, members in groups.items()
    )
