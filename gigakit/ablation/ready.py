"""Ready ablations: what a recipe varies where the command line names no axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gigakit.ablation.axes import Axis
from gigakit.core.catalogue import nearest
from gigakit.core.errors import ConfigError

_MODES = ("grid", "one-at-a-time")


@dataclass(frozen=True)
class ReadyAblation:
    """The ``ablate`` section of a recipe.

    Args:
        axes: text of the values by axis, as its flag takes them.
        seeds: runs per cell.
        mode: how values make cells.
    """

    axes: Mapping[str, str] = field(default_factory=dict)
    seeds: int = 1
    mode: str = "grid"


def ready_ablation(values: Mapping[str, Any], axes: Mapping[str, Axis]) -> ReadyAblation:
    """Read a recipe's ``ablate`` section.

    It is ``dict(axes=dict(attention="dilated,flash", target=None), seeds=3)``; ``None`` stands for
    all values that the recipe declares.

    Args:
        values: the recipe.
        axes: its axes by name.

    Raises:
        ConfigError: an unknown axis, or a value of another form.
    """
    section = values.get("ablate") or {}
    named = section.get("axes", {})
    seeds, mode = section.get("seeds", 1), section.get("mode", "grid")
    if not isinstance(named, dict) or not isinstance(seeds, int) or seeds < 1 or mode not in _MODES:
        raise ConfigError(
            f"cannot read {dict(section)}",
            where="ablate",
            fix='write dict(axes=dict(attention="dilated,flash"), seeds=3, mode="grid")',
        )
    for name in named:
        if name not in axes:
            close = nearest(name, axes)
            fix = f"did you mean '{close}'?" if close else "choose from " + ", ".join(axes)
            raise ConfigError(f"'{name}' is no axis of this recipe", where="ablate.axes", fix=fix)
    texts = {name: text or ",".join(axes[name].cells) for name, text in named.items()}
    return ReadyAblation(texts, seeds, mode)
