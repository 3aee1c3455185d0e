"""Slides in TensorBoard's embedding projector, each with its picture."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from gigakit.core.errors import ConfigError
from gigakit.tasks.slide_collection import ID, SlideCollection
from gigakit.tasks.thumbnails import slide_thumbnail

# the projector reads no larger picture
_SPRITE_SIDE_PX, _THUMBNAIL_PX = 8192, 96
CONFIG = "projector_config.pbtxt"
_TAG, _EVENTS = "slides", ".projector"


def write_projector(collection: SlideCollection, out: Path, overviews: Sequence[Path] = ()) -> Path:
    """Write what ``tensorboard --logdir OUT`` shows under "Projector".

    It reads ``projector_config.pbtxt``, and of its folder ``tensors.tsv`` (a vector a line),
    ``metadata.tsv`` (the slide and the table's columns) and ``sprite.png`` (the thumbnails).

    Args:
        collection: the slides.
        out: folder; what an earlier call wrote there is replaced.
        overviews: folders of tile files, beside which overviews lie; none shows points alone.

    Raises:
        ConfigError: fewer than two slides, or several versions of vectors.
    """
    matrix = collection.matrix
    if len(matrix) < 2:  # noqa: PLR2004
        raise ConfigError("one slide has no neighbours to show", where="gigakit embeddings")
    names = (ID, *collection.columns)
    # the tab parts the columns of a line
    rows = [
        [text.replace("\t", " ").replace("\n", " ") for text in row]
        for row in zip(collection.slides, *collection.columns.values(), strict=True)
    ]
    # without a header, lines of a single column are its values
    metadata = rows if len(names) > 1 else [row[0] for row in rows]
    for earlier in out.glob(f"events.out.tfevents.*{_EVENTS}"):
        earlier.unlink()
    # torch prints a warning where it overwrites, which is meant here
    silence = contextlib.redirect_stdout(io.StringIO())
    with silence, SummaryWriter(str(out), filename_suffix=_EVENTS) as writer:
        writer.add_embedding(
            torch.from_numpy(matrix),
            metadata=metadata,
            label_img=_sprite(collection.slides, overviews) if overviews else None,
            tag=_TAG,
            metadata_header=list(names) if len(names) > 1 else None,
        )
    return out / CONFIG


def _sprite(slides: Sequence[str], overviews: Sequence[Path]) -> torch.Tensor:
    """Return thumbnails ``(N, 3, S, S)`` from 0 to 1, so small that their square is shown."""
    across = int(np.ceil(np.sqrt(len(slides))))
    side = max(1, min(_THUMBNAIL_PX, _SPRITE_SIDE_PX // across))
    pictures = np.stack([slide_thumbnail(overviews, slide, side) for slide in slides])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
