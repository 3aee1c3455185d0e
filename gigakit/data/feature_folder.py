"""A folder of feature files, one a slide, whoever made them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gigakit.core.errors import CheckpointError, ConfigError, StoreError
from gigakit.nn.weights import read_tensors
from gigakit.wsi.features import (
    SUBFOLDER,
    FeatureSet,
    read_embeddings,
    read_feature_shape,
    read_features,
    read_places,
)
from gigakit.wsi.lattice import foreign_grid
from gigakit.wsi.packs import is_pack, packed_files

SUFFIXES = (".h5", ".pt")
_STEP_KEYS = ("patch_size_level0",)


class FeatureFolder:
    """The feature files of a cohort: HDF5 of gigakit, CLAM, TRIDENT or PANDA, and torch files.

    A torch file holds the embeddings ``(N, D)`` or ``(1, N, D)``, alone or as ``features`` beside
    ``coords`` ``(N, 2)``. Without coordinates they come from the HDF5 file of the same slide in
    another folder: CLAM's ``<slide_id>.h5`` or TRIDENT's ``<slide_id>_patches.h5``.

    Args:
        root: folder of ``<slide_id>.h5`` or ``<slide_id>.pt``, perhaps in sub-folders as
            :func:`gigakit.wsi.features.feature_path` makes them; or a pack.
        coords: folder of ``<slide_id>.h5`` whose coordinates count.
        step: side of a tile in the unit of the coordinates, where the files do not tell it.

    Raises:
        ConfigError: a step that is not positive.
        StoreError: no feature file, or two of one slide.

    Attributes:
        files: each slide's file by slide_id, in the order of the names.
    """

    def __init__(
        self, root: Path, *, coords: Path | None = None, step: float | None = None
    ) -> None:
        if step is not None and not step > 0:
            raise ConfigError(f"step is {step}", where="step", fix="give the side of a tile in px")
        self.root, self.coords, self.step = root, coords, step
        self.files: dict[str, Path] = {}
        if is_pack(root):
            self.files = packed_files(root)
            return
        found = [
            path
            for suffix in SUFFIXES
            for folder in ("", f"{SUBFOLDER}/")
            for path in root.glob(f"{folder}*{suffix}")
        ]
        if not found:
            raise StoreError(
                f"holds no feature files ({', '.join(f'*{s}' for s in SUFFIXES)})",
                where=root,
                fix="make them with gigakit embed",
            )
        for path in sorted(found, key=lambda path: path.stem):
            if path.stem in self.files:
                raise StoreError(
                    f"holds two files of one slide: {self.files[path.stem].name} and {path.name}",
                    where=root,
                    fix="keep one",
                )
            self.files[path.stem] = path

    def select(self, slide_ids: Sequence[str] | None) -> list[Path]:
        """Return the files of some slides, or of all.

        Raises:
            StoreError: a slide has none.
        """
        if slide_ids is None:
            return list(self.files.values())
        for name in slide_ids:
            if name not in self.files:
                missing = self.root / f"{name}.h5"
                raise StoreError("no such feature file", where=missing, fix="run gigakit embed")
        return [self.files[name] for name in slide_ids]

    def read(self, path: Path) -> FeatureSet:
        """Read one of the files.

        Raises:
            StoreError: damaged, of another form, not finite, or no way to tell positions.
        """
        places = self._places(path)
        if path.suffix == ".h5":
            return read_features(path, step=self.step, places=places)
        features, coords, told = _read_torch(path)
        if places is not None:
            coords, grid = read_places(places, step=self.step)
        elif coords is not None:
            grid = foreign_grid(coords, told, step=self.step, where=path)
        else:
            raise StoreError(
                "holds embeddings without coordinates, and positions cannot be guessed",
                where=path,
                fix="name the folder of HDF5 files that hold them, such as CLAM's h5_files "
                "(--coords DIR)",
            )
        return FeatureSet(path.stem, features.astype(np.float32), coords, grid)

    def embeddings(self, path: Path) -> np.ndarray:
        """Return the embeddings ``(N, D)`` float32 of one of the files, wherever its tiles lie.

        Raises:
            StoreError: damaged, of another form, or not finite.
        """
        return read_embeddings(path) if path.suffix == ".h5" else _read_torch(path)[0]

    def _places(self, path: Path) -> Path | None:
        """Return the file that holds a slide's coordinates, where that is another one."""
        if self.coords is None:
            return None
        trident = self.coords / f"{path.stem}_patches.h5"
        return trident if trident.is_file() else self.coords / f"{path.stem}.h5"

    def shape(self, path: Path) -> tuple[int, int]:
        """Return the number of tiles and the width of one of the files.

        Raises:
            StoreError: damaged, or no feature file.
        """
        if path.suffix == ".h5":
            return read_feature_shape(path)
        tiles, width = _features_of(_load(path), path).shape
        return tiles, width


def _read_torch(path: Path) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Return features, coordinates and what else tells of them."""
    content = _load(path)
    features = _finite(_features_of(content, path), "features", path)
    if not isinstance(content, dict) or "coords" not in content:
        return features, None, {}
    coords = _matrix(content["coords"], "coords", path)
    if coords.shape[1] != 2:  # noqa: PLR2004
        raise StoreError(f"its 'coords' are {tuple(coords.shape)}, not (N, 2)", where=path)
    told = {key: float(content[key]) for key in _STEP_KEYS if key in content}
    return features, _finite(coords, "coords", path), told


def _load(path: Path) -> Any:
    try:
        return read_tensors(path)
    except CheckpointError as error:
        # one slide's file, not the encoder's
        raise StoreError(error.what, where=path, fix="make it anew") from error


def _features_of(content: Any, path: Path) -> Tensor:
    if isinstance(content, dict):
        if "features" not in content:
            raise StoreError(
                f"holds no 'features', only {', '.join(map(str, content)) or 'nothing'}", where=path
            )
        content = content["features"]
    return _matrix(content, "features", path)


def _matrix(value: Any, name: str, path: Path) -> Tensor:
    shape = tuple(value.shape) if isinstance(value, Tensor) else ()
    if len(shape) == 3 and shape[0] == 1:  # noqa: PLR2004
        value, shape = value[0], shape[1:]
    if len(shape) != 2:  # noqa: PLR2004
        raise StoreError(
            f"its '{name}' are {shape or type(value).__name__}, not (N, D)", where=path
        )
    tensor: Tensor = value
    return tensor


def _finite(tensor: Tensor, name: str, path: Path) -> np.ndarray:
    if not tensor.isfinite().all():
        raise StoreError(f"its '{name}' hold values that are not finite", where=path)
    # numpy has no bfloat16
    exact = tensor.double() if name == "coords" else tensor.float()
    return exact.numpy()
