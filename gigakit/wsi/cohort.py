"""Cohorts: which slides, by name."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gigakit.core.errors import ConfigError
from gigakit.core.tables import read_rows
from gigakit.wsi.readers.openslide_reader import dicom_series
from gigakit.wsi.sample import sample_path
from gigakit.wsi.slide import IMAGE_SUFFIXES, explicit_mpp

LOGGER = logging.getLogger(__name__)

SAMPLE = "sample"
SLIDE_SUFFIXES = (
    ".svs", ".tif", ".tiff", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".svslide", ".bif", ".dcm",
    ".czi", *IMAGE_SUFFIXES,
)  # fmt: skip
_SAFE_ID = re.compile(r"[^/\\:\x00-\x1f]+")
# file names have 255 bytes, of which temporary names and suffixes need some
_LONGEST_ID_BYTES = 200


@dataclass(frozen=True)
class SlideRow:
    """One slide of a cohort.

    Args:
        slide_id: its name, which names its files.
        path: where it lies.
        mpp: resolution in µm/px that overrides the slide's.
        extra: the manifest's other columns.
    """

    slide_id: str
    path: Path
    mpp: float | None = None
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cohort:
    """Slides that are processed together.

    Args:
        name: names the cohort's stores.
        slides: at least one.
    """

    name: str
    slides: tuple[SlideRow, ...]


def read_cohort(source: str | Path, *, mpp: float | None = None) -> Cohort:
    """Read a cohort.

    Args:
        source: ``sample``, a manifest ``.csv`` (columns ``path``, and optionally ``slide_id``,
            ``mpp`` and others, which are kept), a folder of slides, or one slide. Of the files
            of a DICOM series a folder counts the first alone: they are one slide.
        mpp: resolution in µm/px of slides whose row gives none.

    Raises:
        ConfigError: nothing there, no slides, or an unusable row, named by file and line.
    """
    explicit_mpp(mpp, "--mpp")
    if str(source) == SAMPLE:
        return Cohort(SAMPLE, (SlideRow("CMU-1-Small-Region", sample_path(), mpp),))
    path = Path(source)
    if path.suffix.lower() == ".csv":
        rows = _read_manifest(path, mpp)
    elif path.is_dir():
        rows = [(SlideRow(_stem(file), file, mpp), str(file)) for file in _slide_files(path)]
    else:
        # a path that does not exist is that slide's own error, told when it is opened
        rows = [(SlideRow(_stem(path), path, mpp), str(path))]
    if not rows:
        raise ConfigError("holds no slides", where=path, fix="name a folder or a csv with slides")
    _check_ids(rows)
    return Cohort(path.stem or "cohort", tuple(row for row, _ in rows))


def read_cohorts(sources: Sequence[str | Path], *, mpp: float | None = None) -> Cohort:
    """Read one cohort, or several as one, such as the slides that a shell's pattern names.

    Several are named after the folder that holds them all.

    Args:
        sources: each as :func:`read_cohort` takes it.
        mpp: resolution in µm/px of slides whose row gives none.

    Raises:
        ConfigError: one cannot be read, or two slides have one name.
    """
    cohorts = [read_cohort(source, mpp=mpp) for source in sources]
    if len(cohorts) == 1:
        return cohorts[0]
    rows = [row for cohort in cohorts for row in cohort.slides]
    _check_ids((row, str(row.path)) for row in rows)
    folders = {Path(source).absolute().parent for source in sources}
    return Cohort(folders.pop().name if len(folders) == 1 else "cohort", tuple(rows))


def _read_manifest(path: Path, mpp: float | None) -> list[tuple[SlideRow, str]]:
    if not path.is_file():
        raise ConfigError("no such manifest", where=path)
    rows = read_rows(path, "path")
    return [(_row(record, path, where, mpp), where) for where, record in rows]


def _row(record: dict[str, str], manifest: Path, where: str, mpp: float | None) -> SlideRow:
    text = record["path"].strip()
    if not text:
        raise ConfigError("the path is empty", where=where)
    told = record.get("mpp", "").strip()
    if told:
        try:
            mpp = float(told)
        except ValueError as error:
            raise ConfigError(f"mpp is '{told}'", where=where, fix="give µm per pixel") from error
        explicit_mpp(mpp, where)
    file = Path(text)
    return SlideRow(
        slide_id=record.get("slide_id", "").strip() or _stem(file),
        path=file if file.is_absolute() else manifest.parent / file,
        mpp=mpp,
        extra={k: v for k, v in record.items() if k not in ("slide_id", "path", "mpp")},
    )


def _check_ids(rows: Iterable[tuple[SlideRow, str]]) -> None:
    seen: dict[str, str] = {}
    for row, where in rows:
        name = row.slide_id
        if (
            not _SAFE_ID.fullmatch(name)
            or name.startswith(".")
            or len(name.encode()) > _LONGEST_ID_BYTES
        ):
            raise ConfigError(
                f"slide_id '{name}' cannot name a file", where=where, fix="give a plain name"
            )
        if name in seen:
            raise ConfigError(
                f"slide_id '{name}' is also that of {seen[name]}",
                where=where,
                fix="give each slide its own slide_id",
            )
        seen[name] = where


def _slide_files(folder: Path) -> list[Path]:
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SLIDE_SUFFIXES)
    chosen, seen = [], set()
    for file in files:
        series = dicom_series(file) if file.suffix.lower() == ".dcm" else None
        if series is None or series not in seen:
            chosen.append(file)
        seen.add(series)
    if len(chosen) < len(files):
        LOGGER.info("%s: %d files are parts of DICOM slides", folder, len(files) - len(chosen))
    return chosen


def _stem(path: Path) -> str:
    return (
        path.name.removesuffix(path.suffix) if path.suffix.lower() in SLIDE_SUFFIXES else path.name
    )
