"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gigakit.cli.completion import complete_override

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "--cfg-options",
        metavar="KEY=VALUE",
        help="Override one config value, such as model.mask_ratio=0.5; repeatable.",
        autocompletion=complete_override,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Where stores go; default work_dirs/stores/<cohort>."),
]
Mpp = Annotated[
    float | None,
    typer.Option("--mpp", help="Resolution in µm/px of slides that do not tell theirs."),
]
