"""``gigakit probe``: what frozen tile encoders are worth on labelled tiles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gigakit.cli.options import AsJson

if TYPE_CHECKING:
    from gigakit.tasks.probes.encoder_choice import EncoderChoice
    from gigakit.tasks.probes.frozen_encoder import TileEncoder
    from gigakit.tasks.probes.probe_tiles import Probed


def probe(
    data: Annotated[
        Path,
        typer.Argument(
            help="A folder or .zip with a folder per class (or <split>/<class>), or a .csv: "
            "tile,label[,case][,split]."
        ),
    ],
    encoders: Annotated[
        list[str] | None,
        typer.Option(
            "--encoder",
            help="A config or its name (with --weights), a run's folder, an export, untrained, "
            "untrained:CONFIG, or colour-texture; repeatable, compared with the first.",
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option("--weights", help="A file for each --encoder CONFIG; an export stands alone."),
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--table", help="The .csv of a folder or .zip of tiles.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option("--root", help="Where the paths of a .csv start.")
    ] = None,
    split_by: Annotated[
        str, typer.Option("--split-by", help="Column whose values are kept together; or 'tile'.")
    ] = "case",
    tokens: Annotated[
        str, typer.Option("--tokens", help="cls, or cls+mean: with the mean patch token.")
    ] = "cls",
    enlarge: Annotated[
        bool, typer.Option("--enlarge", help="Enlarge tiles smaller than the encoder's input.")
    ] = False,
    max_bad_share: Annotated[
        float, typer.Option("--max-bad-share", min=0, max=1, help="Tiles that may be damaged.")
    ] = 0.01,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for probe.json, probe.md and pictures.")
    ] = None,
    as_json: AsJson = False,
    batch_size: Annotated[
        int, typer.Option("--batch-size", min=1, help="Tiles a forward pass.")
    ] = 64,
    device: Annotated[
        str | None, typer.Option("--device", help="cpu, cuda:1 or mps; default: the best.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", help="fp32, bf16, fp16 or auto.")
    ] = "auto",
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Of the split, intervals, untrained encoders.")
    ] = 0,
) -> None:
    """Probe frozen tile encoders on labelled tiles: linear, by neighbours, and without labels.

    Scores are of the test tiles, with 95 % intervals over cases. Where the data have no split,
    whole cases are drawn.
    """
    from gigakit.cli.probe_encoders import choose_encoders
    from gigakit.tasks.probes.probe_tiles import probe_encoders
    from gigakit.tasks.probes.tile_collection import read_collection

    chosen = choose_encoders(encoders or [], weights or [])
    tiles = read_collection(data, table=table, root=root, split_by=split_by, seed=seed)

    def builder(choice: EncoderChoice | None) -> Callable[[], TileEncoder]:
        return lambda: _build(choice, tokens, device, precision, enlarge=enlarge, seed=seed)

    for warning in tiles.warnings:
        _announce(f"warning: {warning}")
    probed = probe_encoders(
        [builder(choice) for choice in chosen],
        tiles,
        batch_size=batch_size,
        max_bad_share=max_bad_share,
        seed=seed,
        announce=_announce,
        pictures=out is not None,
    )
    for warning in probed.tiles.warnings[len(tiles.warnings) :]:
        _announce(f"warning: {warning}")
    _show(probed, out, as_json=as_json)


def _build(
    choice: EncoderChoice | None,
    tokens: str,
    device: str | None,
    precision: str,
    *,
    enlarge: bool,
    seed: int,
) -> TileEncoder:
    from gigakit.tasks.probes.colour_texture import ColourTexture
    from gigakit.tasks.probes.frozen_encoder import FrozenEncoder

    if choice is None:
        return ColourTexture()
    return FrozenEncoder(
        choice, tokens=tokens, device=device, precision=precision, enlarge=enlarge, seed=seed
    )


def _show(probed: Probed, out: Path | None, *, as_json: bool) -> None:
    from gigakit.cli.tables import print_table
    from gigakit.tasks.probes.report import as_json as to_json
    from gigakit.tasks.probes.report import tables, write_report
    from gigakit.tasks.probes.tile_collection import counts

    if as_json:
        typer.echo(json.dumps(to_json(probed.tiles, probed.results), indent=2))
    else:
        typer.echo(counts(probed.tiles))
        for note in probed.tiles.notes:
            typer.echo(note)
        for title, header, rows in tables(probed.results):
            typer.echo(f"\n{title}")
            print_table(header, rows)
    if out is not None:
        write_report(out, probed.tiles, probed.results, probed.maps)
        _announce(f"look: {out / 'probe.md'}")


def _announce(line: str) -> None:
    typer.echo(line, err=True)
