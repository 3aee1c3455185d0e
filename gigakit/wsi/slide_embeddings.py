"""Slide embedding files: one slide's embeddings of every layer, each with its meaning in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gigakit import __version__
from gigakit.core.errors import StoreError
from gigakit.core.files import atomic_path
from gigakit.wsi.stores import open_store

_ROWS = (
    "Row 0 is the sequence as embedded, before any block; row i is the output of block i, so the "
    "last row is the last block's. Each is passed through the model's last norm ('norm') only; "
    "the encoder's own final norm ('encoder.layer_norm') is skipped, as in the published code"
)
MEANINGS = {
    "cls": f"(depth + 1, D): the cls token. {_ROWS}. Row 0 is the same for every slide.",
    "mean": f"(depth + 1, D): the mean over the slide's tiles, then the norm. {_ROWS}.",
    "last_cls": "(D,): the published model's single output: the cls token after the last block, "
    "through 'encoder.layer_norm' and then 'norm'. It is not the last row of 'cls'.",
    "last_mean": "(D,): the published model's single output under global pooling: all tokens "
    "after the last block through 'encoder.layer_norm', the mean over tiles, then 'norm'. It is "
    "not the last row of 'mean'.",
}


def write_slide_embeddings(
    path: Path, arrays: Mapping[str, np.ndarray], attrs: Mapping[str, Any]
) -> None:
    """Write a slide's embeddings as float32, atomically.

    Args:
        path: the file.
        arrays: the names of :data:`MEANINGS`.
        attrs: facts about slide, encoder and tiles.

    Raises:
        StoreError: a value is not finite.
    """
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise StoreError(
                f"the slide embedding '{name}' is not finite",
                where=path,
                fix="check the tile embeddings, or use --precision fp32",
            )
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for name, meaning in MEANINGS.items():
            dataset = file.create_dataset(name, data=arrays[name].astype(np.float32))
            dataset.attrs["meaning"] = meaning
        file.attrs.update({"gigakit": __version__, **attrs})


def holds_slide(path: Path, stamp: Mapping[str, Any]) -> bool:
    """Tell whether a file is whole and was made from these very features.

    Args:
        path: the file.
        stamp: attributes that must be the same.
    """
    if not path.is_file():
        return False
    try:
        with open_store(path) as file:
            same = all(file.attrs.get(key) == value for key, value in stamp.items())
            return same and all(name in file for name in MEANINGS)
    except StoreError:
        return False
