"""``gigakit embeddings``: what a folder of embeddings says of its slides.

One group, since all its commands ask for the same first thing: which vector a slide is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gigakit.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigakit.tasks.nearest_slides import Neighbour
    from gigakit.tasks.slide_collection import SlideCollection

embeddings_app = typer.Typer(no_args_is_help=True)

Folder = Annotated[
    Path, typer.Argument(help="Slide embeddings of gigakit embed, or tile features, pooled here.")
]
Labels = Annotated[
    Path | None, typer.Option("--labels", help="CSV with slide_id; its other columns are shown.")
]
Pool = Annotated[str, typer.Option("--pool", help="Tiles to a vector: mean, max, min, std; a+b.")]
Embedding = Annotated[
    str, typer.Option("--embedding", help="Of slide embeddings: cls, mean, last_cls or last_mean.")
]
Layers = Annotated[
    str, typer.Option("--layers", help="Of cls and mean: last, all, 5, 5+11 or 5-11.")
]
Tiles = Annotated[
    Path | None,
    typer.Option("--tiles", help="Folder of tile files and overviews; default: the store's."),
]


@embeddings_app.command("export")
def export(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", help="A file .parquet or .npz.")],
    labels: Labels = None,
    pool: Pool = "mean",
    embedding: Embedding = "mean",
    layers: Layers = "last",
) -> None:
    """Write all slides into one file: slide_id, the table's columns, vectors and their meaning.

    Several versions of layers, parted by commas, become a column each.
    """
    from gigakit.tasks.slide_table import write_slide_table

    collection = _read(folder, labels, pool, embedding, layers)
    told = write_slide_table(collection, folder, out)
    typer.echo(f"{out}: {len(collection.slides)} slides, {told['source']}")


@embeddings_app.command("nearest")
def nearest(
    folder: Folder,
    slide: Annotated[list[str], typer.Argument(help="One or more slide_ids.")],
    count: Annotated[int, typer.Option("--count", min=1, help="Neighbours of each.")] = 5,
    centred: Annotated[
        bool, typer.Option("--centred", help="Subtract the mean of all slides first.")
    ] = False,
    labels: Labels = None,
    tiles: Tiles = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A .jpg: overviews side by side, a row a slide.")
    ] = None,
    pool: Pool = "mean",
    embedding: Embedding = "mean",
    layers: Layers = "last",
    as_json: AsJson = False,
) -> None:
    """Find the slides nearest to some by cosine, with what the table says of them."""
    from gigakit.cli.tables import print_table
    from gigakit.tasks.nearest_slides import nearest_slides

    collection = _read(folder, labels, pool, embedding, layers)
    queries = [_number(collection, name, folder) for name in slide]
    found = {
        query: nearest_slides(collection.matrix, query, count, centred=centred)
        for query in dict.fromkeys(queries)
    }
    if as_json:
        typer.echo(json.dumps(_json(collection, found), indent=2))
    else:
        header = ["slide", "nearest", "cosine", *collection.columns]
        print_table(header, _rows(collection, found))
    if out is not None:
        _write_sheet(collection, found, _overviews(folder, tiles), out)
        typer.echo(f"look: {out}", err=True)


@embeddings_app.command("projector")
def projector(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", help="Folder for TensorBoard.")],
    labels: Labels = None,
    tiles: Tiles = None,
    pool: Pool = "mean",
    embedding: Embedding = "mean",
    layers: Layers = "last",
) -> None:
    """Write the slides for TensorBoard's embedding projector, each with its overview."""
    from gigakit.tasks.embedding_projector import write_projector

    collection = _read(folder, labels, pool, embedding, layers)
    overviews = _overviews(folder, tiles)
    written = write_projector(collection, out, overviews)
    if not overviews:
        typer.echo("note: no overviews beside the embeddings (--tiles): points alone", err=True)
    typer.echo(f"{written}: {len(collection.slides)} slides, {collection.vectors.source}")
    typer.echo(f"look: tensorboard --logdir {out}, then Projector", err=True)


def _read(
    folder: Path, labels: Path | None, pool: str, embedding: str, layers: str
) -> SlideCollection:
    from gigakit.tasks.slide_collection import read_collection

    collection = read_collection(folder, labels, pool=pool, embedding=embedding, layers=layers)
    for note in collection.notes:
        typer.echo(f"note: {note}", err=True)
    return collection


def _number(collection: SlideCollection, name: str, folder: Path) -> int:
    from gigakit.core.errors import ConfigError

    if name not in collection.slides:
        raise ConfigError(f"has no slide {name}", where=folder, fix="name one of its files")
    return collection.slides.index(name)


def _overviews(folder: Path, tiles: Path | None) -> list[Path]:
    from gigakit.core.errors import ConfigError
    from gigakit.wsi.tile_places import tile_folders

    if tiles is not None and not (tiles / "overview").is_dir():
        raise ConfigError(
            "has no folder overview", where=tiles, fix="name the folder of a tiling's files"
        )
    return tile_folders(folder) if tiles is None else [tiles]


def _rows(collection: SlideCollection, found: dict[int, list[Neighbour]]) -> list[list[str]]:
    labels = list(collection.columns.values())
    rows = []
    for query, near in found.items():
        rows.append([collection.slides[query], "", "", *(column[query] for column in labels)])
        rows += [
            [
                "",
                collection.slides[one.row],
                f"{one.cosine:.4f}",
                *(column[one.row] for column in labels),
            ]
            for one in near
        ]
    return rows


def _json(collection: SlideCollection, found: dict[int, list[Neighbour]]) -> dict[str, object]:
    def labels(row: int) -> dict[str, str]:
        return {name: values[row] for name, values in collection.columns.items()}

    return {
        "source": collection.vectors.source,
        "slides": [
            {
                "slide_id": collection.slides[query],
                **labels(query),
                "nearest": [
                    {"slide_id": collection.slides[n.row], "cosine": n.cosine, **labels(n.row)}
                    for n in near
                ],
            }
            for query, near in found.items()
        ],
    }


def _write_sheet(
    collection: SlideCollection,
    found: dict[int, list[Neighbour]],
    overviews: Sequence[Path],
    out: Path,
) -> None:
    from gigakit.core.errors import ConfigError
    from gigakit.core.files import atomic_path
    from gigakit.tasks.thumbnails import nearest_sheet
    from gigakit.wsi.overview import encode_jpeg

    if out.suffix not in (".jpg", ".jpeg"):
        raise ConfigError(f"'{out.name}' is no JPEG", where="--out", fix="end it in .jpg")
    sheet = nearest_sheet(collection, found, overviews)
    with atomic_path(out) as temporary:
        temporary.write_bytes(encode_jpeg(sheet))
