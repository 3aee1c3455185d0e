"""A folder of feature files, and what a run needs to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gigakit.core.errors import StoreError
from gigakit.data.feature_folder import FeatureFolder
from gigakit.wsi.stores import open_store


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
        folder: holds ``<slide_id>.h5`` or ``.pt``.
        slide_ids: the slides to use; ``None`` takes all files.

    Raises:
        StoreError: no feature file, a damaged one, or files of several encoders or tilings.
    """
    features = FeatureFolder(folder)
    files = features.select(slide_ids)
    names = [file.stem for file in files]
    shapes = {file.stem: features.shape(file) for file in files}
    origins = {file.stem: _origin(file, shapes[file.stem][1]) for file in files}
    first = names[0]
    for name, origin in origins.items():
        for fact, value in origin.items():
            if value != origins[first].get(fact):
                raise StoreError(
                    f"holds files of different {fact}: {origins[first].get(fact)} ({first}), "
                    f"{value} ({name})",
                    where=folder,
                    fix="keep the files of one encoder and one tiling in one folder",
                )
    return PreparedFeatures(
        folder=folder,
        slide_ids=names,
        lengths=[tiles for tiles, _ in shapes.values()],
        width=shapes[first][1],
    )


def _origin(path: Path, width: int) -> dict[str, object]:
    """Return what all files of a folder must share; foreign files tell the width alone."""
    if path.suffix != ".h5":
        return {"width": width}
    with open_store(path) as file:
        facts = {name: file.attrs.get(name) for name in ("encoder", "target_mpp", "overlap")}
    return {"width": width, **facts}
