"""Weights that ship inside the package, found by name."""

from __future__ import annotations

from pathlib import Path

from gigakit.core.errors import CheckpointError

FOLDER = Path(__file__).resolve().parents[1] / "assets" / "encoders"
SUFFIX = ".safetensors"


def own_encoders() -> dict[str, Path]:
    """Return the files of gigakit's own encoders by name."""
    return {path.stem: path for path in sorted(FOLDER.glob(f"*{SUFFIX}"))}


def card_of(weights: Path) -> Path:
    """Return where the card of an own encoder's file lies: beside it."""
    return weights.with_suffix(".md")


def find_weights(name: str) -> Path:
    """Return a file of weights: one of gigakit's own by name, else a path.

    Args:
        name: such as ``gigakit-tiny``; a file of that name in the present folder wins.

    Raises:
        CheckpointError: it looks like a name, and there is neither.
    """
    path, own = Path(name), own_encoders()
    if path.exists():
        return path
    if name in own:
        return own[name]
    if not path.suffix and len(path.parts) == 1:
        raise CheckpointError(
            "no such file, and no encoder of gigakit's own",
            where=f"weights {name}",
            fix=f"give a file's path, or one of: {', '.join(own) or 'there is none'}",
        )
    return path
