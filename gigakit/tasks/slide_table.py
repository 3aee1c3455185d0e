"""All slide embeddings of a folder in one file: Parquet or npz."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gigakit import __version__
from gigakit.core.errors import ConfigError
from gigakit.core.files import atomic_path
from gigakit.data.feature_folder import FeatureFolder
from gigakit.tasks.slide_collection import ID, SlideCollection
from gigakit.wsi.slide_embeddings import MEANINGS
from gigakit.wsi.stores import open_store

SUFFIXES = (".parquet", ".npz")
VECTOR = "embedding"
# facts about the encoder that the files of a folder share
_FACTS = ("encoder", "note", "precision", "weights_sha256", "target_mpp")


def write_slide_table(collection: SlideCollection, folder: Path, path: Path) -> dict[str, Any]:
    """Write one row a slide: ``slide_id``, the table's columns, and its vectors.

    Parquet: texts, and vectors as lists of float32 of fixed length; what the vectors are is JSON
    under the key ``gigakit`` of the schema's metadata. npz: arrays of the same names, vectors
    ``(N, D)``, the same JSON as the text ``meaning``; it holds no pickled objects.

    Args:
        collection: the slides.
        folder: where they were read from.
        path: ``.parquet`` or ``.npz``; it tells the form.

    Returns:
        What the file says of the vectors.

    Raises:
        ConfigError: another suffix, a column named like a vector, or pyarrow is not installed.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(
            f"'{path.name}' is neither", where="--out", fix=f"end it in {' or '.join(SUFFIXES)}"
        )
    vectors = _named(collection)
    clash = sorted(set(vectors) & set(collection.columns))
    if path.suffix == ".npz":
        clash += [name for name in ("meaning", "file") if name in collection.columns]
    if clash:
        raise ConfigError(
            f"a column of the table is named {clash[0]}, which the file needs itself",
            where="--labels",
            fix="rename it",
        )
    told = {
        "gigakit": __version__,
        "folder": folder.name,
        "source": collection.vectors.source,
        "vectors": {
            name: {"what": version, "width": int(matrix.shape[1])}
            for (name, matrix), version in zip(
                vectors.items(), collection.vectors.versions, strict=True
            )
        },
        **_facts(folder, collection),
    }
    texts = {ID: collection.slides, **collection.columns}
    if path.suffix == ".npz":
        _write_npz(path, texts, vectors, told)
    else:
        _write_parquet(path, texts, vectors, told)
    return told


def _named(collection: SlideCollection) -> dict[str, np.ndarray]:
    """Return matrices by column: ``embedding``; of several versions ``embedding_layer_5``."""
    versions = collection.vectors.versions
    if len(versions) == 1:
        return {VECTOR: next(iter(versions.values()))}
    return {f"{VECTOR}_{name.replace(' ', '_')}": matrix for name, matrix in versions.items()}


def _facts(folder: Path, collection: SlideCollection) -> dict[str, Any]:
    """Return what the first slide's file says of encoder and embedding."""
    path = FeatureFolder(folder).files[collection.slides[0]]
    if path.suffix != ".h5":
        return {}
    stored, _, name = collection.vectors.source.partition("slide embedding ")
    name = "" if stored else name.split(",")[0]
    with open_store(path) as file:
        told = {fact: _plain(file.attrs[fact]) for fact in _FACTS if fact in file.attrs}
        if name in MEANINGS:
            told["meaning"] = str(file[name].attrs.get("meaning", MEANINGS[name]))
    return told


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _write_npz(
    path: Path,
    texts: dict[str, tuple[str, ...]],
    vectors: dict[str, np.ndarray],
    told: dict[str, Any],
) -> None:
    arrays: dict[str, Any] = {name: np.array(values, np.str_) for name, values in texts.items()}
    arrays |= {"meaning": np.array(json.dumps(told)), **vectors}
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)


def _write_parquet(
    path: Path,
    texts: dict[str, tuple[str, ...]],
    vectors: dict[str, np.ndarray],
    told: dict[str, Any],
) -> None:
    try:
        import pyarrow as pa  # noqa: PLC0415  # an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "Parquet needs pyarrow, which is not installed",
            where="--out",
            fix="pip install 'gigakit[eval]', or end the file in .npz",
        ) from error
    columns = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    for name, matrix in vectors.items():
        flat = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1))
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])
    table = pa.table(columns).replace_schema_metadata({"gigakit": json.dumps(told)})
    with atomic_path(path) as temporary:
        parquet.write_table(table, temporary)
