"""Reading HDF5 stores, with errors that say what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from gigakit.core.errors import StoreError
from gigakit.wsi.packs import is_packed, open_packed


def open_store(path: Path) -> h5py.File:
    """Open an HDF5 file for reading, one in a pack too.

    Raises:
        StoreError: the file is missing or damaged.
    """
    if is_packed(path):
        return open_packed(path)
    if not path.is_file():
        raise StoreError("no such file", where=path)
    try:
        return h5py.File(path, "r")
    except (PermissionError, BlockingIOError) as error:
        raise StoreError(f"cannot be opened: {error.strerror}", where=path) from error
    except OSError as error:
        raise StoreError(
            "is damaged or no HDF5 file", where=path, fix="remove it and run the command again"
        ) from error


def read_dataset(
    file: h5py.File, name: str, path: Path, *, columns: int | None = None
) -> np.ndarray:
    """Return a dataset's numbers: ``(N,)``, or ``(N, columns)``; ``(N, any)`` for -1.

    ``(1, N, columns)``, as some tools write, counts as ``(N, columns)``.

    Raises:
        StoreError: the file does not hold it, it has another form, or a value is not finite.
    """
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise StoreError(f"holds no dataset '{name}'", where=path)
    shape: tuple[int, ...] = found.shape or ()
    if columns is not None and len(shape) == 3 and shape[0] == 1:  # noqa: PLR2004
        shape = shape[1:]
    wanted = 1 if columns is None else 2
    fits = len(shape) == wanted and columns in (None, -1, shape[-1])
    if found.dtype.kind not in "fiu" or not fits:
        raise StoreError(f"its dataset '{name}' is {found.dtype} {found.shape}", where=path)
    try:
        values: np.ndarray = found[()].reshape(shape)
    except OSError as error:
        raise StoreError(f"its dataset '{name}' is damaged: {error}", where=path) from error
    if not np.isfinite(values).all():
        raise StoreError(f"its dataset '{name}' holds values that are not finite", where=path)
    return values
