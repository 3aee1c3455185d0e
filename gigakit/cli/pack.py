"""``gigakit pack``: features or tiles in few large files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gigakit.cli.options import AsJson


def pack(
    folder: Annotated[Path, typer.Argument(help="Folder of feature files, or of tiles.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the pack.")],
    shard_mb: Annotated[
        int, typer.Option("--shard-mb", min=1, help="Size of a tar file of features.")
    ] = 1000,
    tiles: Annotated[
        bool, typer.Option("--tiles", help="Read the tiles and pack them as JPEG, for WebDataset.")
    ] = False,
    tiles_per_shard: Annotated[
        int, typer.Option("--tiles-per-shard", min=1, help="Tiles of a tar file, on the mean.")
    ] = 2000,
    quality: Annotated[int, typer.Option("--quality", min=1, max=100, help="Of the JPEGs.")] = 90,
    seed: Annotated[int, typer.Option("--seed", help="Draws each tile's tar file.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Pack feature files into tar files with an index, for storage slow with many small files.

    The folder of the pack stands for the folder of the files: train and embed with
    --set features=PACK or --features PACK. With --tiles the folder is one of tiles, their pixels
    are read from the slides, and the tar files are WebDataset shards.
    """
    if tiles:
        _pack_tiles(folder, out, tiles_per_shard, quality, seed, as_json=as_json)
        return
    from gigakit.core.errors import StoreError
    from gigakit.data.feature_folder import FeatureFolder
    from gigakit.wsi.packs import pack_files

    files = FeatureFolder(folder).select(None)
    foreign = [file for file in files if file.suffix != ".h5"]
    if foreign:
        raise StoreError("is no HDF5 file", where=foreign[0], fix="pack folders of .h5 files alone")
    shards = pack_files(files, out, shard_bytes=shard_mb * 1_000_000)
    if as_json:
        found = {"out": str(out), "slides": len(files), "tar_files": [str(path) for path in shards]}
        typer.echo(json.dumps(found, indent=2))
    else:
        typer.echo(f"{out}: {len(files)} slides in {len(shards)} tar files")


def _pack_tiles(
    folder: Path, out: Path, tiles_per_shard: int, quality: int, seed: int, *, as_json: bool
) -> None:
    from gigakit.core.errors import SomeSlidesFailedError, StoreError
    from gigakit.wsi.tile_shards import write_tile_shards

    tables = sorted(folder.glob("*.h5"))
    settings = folder / "settings.json"
    if not tables or not settings.is_file():
        raise StoreError(
            "is no folder of tiles", where=folder, fix="name one that gigakit tile wrote"
        )
    made = write_tile_shards(
        tables,
        out,
        tiles_per_shard=tiles_per_shard,
        quality=quality,
        seed=seed,
        reader=json.loads(settings.read_text(encoding="utf-8"))["reader"],
        announce=lambda line: typer.echo(line, err=True),
    )
    if as_json:
        paths = [str(path) for path in made.paths]
        found = {"out": str(out), "tiles": made.tiles, "tar_files": paths, "left_out": made.failed}
        typer.echo(json.dumps(found, indent=2))
    else:
        typer.echo(f"{out}: {made.tiles} tiles written, {len(made.paths)} tar files in all")
    if made.failed:
        raise SomeSlidesFailedError(
            f"{len(made.failed)} slides or tiles are left out", where=out, fix="see the lines above"
        )
