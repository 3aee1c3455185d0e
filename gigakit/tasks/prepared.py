"""A folder of feature files, and what a run needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gigakit.core.errors import StoreError
from gigakit.wsi.features import read_feature_shape
from gigakit.wsi.tiles import open_store


@dataclass
class PreparedFeatures:
    """Feature files of a cohort.

    Args:
        folder: where ``<slide_id>.h5`` lie.
        slide_ids: the slides to use.
        lengths: tiles of each.
        width: width of the embeddings.
        overviews: folder of overview pictures, if there is one.
        notes: what a user should know about these features.
    """

    folder: Path
    slide_ids: list[str]
    lengths: list[int]
    width: int
    overviews: Path | None = None
    notes: list[str] = field(default_factory=list)


def read_prepared(folder: Path, slide_ids: Sequence[str] | None = None) -> PreparedFeatures:
    """Describe a folder of feature files.

    Args:
        folder: holds ``<slide_id>.h5``.
        slide_ids: the slides to use; ``None`` takes all files.

    Raises:
        StoreError: no feature file, a damaged one, or files of several encoders or tilings.
    """
    names = sorted(path.stem for path in folder.glob("*.h5")) if slide_ids is None else slide_ids
    if not names:
        raise StoreError(
            "holds no feature files (*.h5)", where=folder, fix="make them with gigakit embed"
        )
    shapes = {name: read_feature_shape(folder / f"{name}.h5") for name in names}
    origins = {name: _origin(folder / f"{name}.h5", shapes[name][1]) for name in names}
    first = names[0]
    for name, origin in origins.items():
        for fact, value in origin.items():
            if value != origins[first][fact]:
                raise StoreError(
                    f"holds files of different {fact}: {origins[first][fact]} ({first}), "
                    f"{value} ({name})",
                    where=folder,
                    fix="keep the files of one encoder and one tiling in one folder",
                )
    return PreparedFeatures(
        folder=folder,
        slide_ids=list(names),
        lengths=[tiles for tiles, _ in shapes.values()],
        width=shapes[first][1],
    )


def _origin(path: Path, width: int) -> dict[str, object]:
    """Return what all files of a folder must share; foreign files tell the width alone."""
    with open_store(path) as file:
        facts = {name: file.attrs.get(name) for name in ("encoder", "target_mpp", "overlap")}
    return {"width": width, **facts}
