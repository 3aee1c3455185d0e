"""Heat-maps of a trained slide-level model: pictures, and tiles for QuPath."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gigakit.core.errors import ConfigError, StoreError
from gigakit.core.files import atomic_path
from gigakit.data.slide_labels import Task
from gigakit.engine.evaluate import TrainedTask
from gigakit.tasks.heatmap_pictures import (
    Background,
    attention_map,
    contribution_map,
    plain_overview,
    slide_picture,
)
from gigakit.tasks.inference import inference
from gigakit.tasks.tile_evidence import TileEvidence, tile_evidence
from gigakit.wsi.geojson import write_measured_tiles
from gigakit.wsi.overview import encode_jpeg
from gigakit.wsi.tile_places import find_tiles, read_overview, tile_folders, tiles_at


@dataclass(frozen=True)
class Heatmap:
    """What was drawn of a slide.

    Attributes:
        slide_id: the slide.
        caption: label and prediction.
        picture: the file.
        geojson: of its tiles; ``None`` without its tile file.
        missing: what is not shown, and why.
    """

    slide_id: str
    caption: str
    picture: Path
    geojson: Path | None
    missing: tuple[str, ...]


def draw_heatmaps(
    trained: TrainedTask,
    out: Path,
    *,
    slides: Sequence[str] = (),
    most: int = 0,
    output: str | None = None,
    tiles: Path | None = None,
) -> Iterator[Heatmap]:
    """Draw slides one after another: ``<slide_id>.jpg``, and ``<slide_id>.geojson``.

    Args:
        trained: a model and the slides of a split.
        out: folder for the files.
        slides: which; none takes those of the split, in order.
        most: stop after so many; 0 draws all.
        output: class or label whose contributions are drawn; by default the predicted one.
        tiles: folder of tile files; by default those of the features' own store.

    Raises:
        ConfigError: no such output, or a slide that is not of the split.
        StoreError: ``tiles`` has no file of a slide, or one of other tiles.
    """
    names = output_names(trained.dataset.data.task)
    if output is not None and output not in names:
        raise ConfigError(
            f"there is no output '{output}'", where="--output", fix=f"one of {', '.join(names)}"
        )
    numbers = _numbers(trained.dataset.data.slides.tolist(), slides)
    for number in numbers[:most] if most else numbers:
        yield _draw(trained, number, out, output=output, tiles=tiles)


def output_names(task: Task) -> tuple[str, ...]:
    """Return the names of a model's outputs: classes, labels, a value's name or a risk's."""
    if task.kind == "survival":
        return (f"risk of {task.labels[1]}",)
    return task.classes or task.labels


def _numbers(known: list[str], slides: Sequence[str]) -> list[int]:
    for slide in slides:
        if slide not in known:
            raise ConfigError(
                f"the slide {slide} is not of this split", where="--slide", fix="see --split"
            )
    return [known.index(slide) for slide in slides] or list(range(len(known)))


def _draw(
    trained: TrainedTask, number: int, out: Path, *, output: str | None, tiles: Path | None
) -> Heatmap:
    item = trained.dataset[number]
    slide_id, grid = item["slide_id"], item["grid"].numpy()
    features = item["features"].to(trained.device)
    with inference(trained.device, trained.precision):
        found = tile_evidence(trained.model, features, item["grid"].to(trained.device))
        said = trained.model.loss.predictions(torch.from_numpy(found.outputs)[None])
    task = trained.dataset.data.task
    if task.kind == "classification":
        found = against_others(found)
    names = output_names(task)
    shown = names.index(output) if output else int(found.outputs.argmax())
    path = _tile_file(trained, number, tiles)
    table = None if path is None else tiles_at(path, grid)
    overview = None if path is None else read_overview(path)
    background = None
    if overview is not None and table is not None:
        background = Background(overview, table)
    caption = _caption(task, said, shown, trained.dataset.data.targets[number])
    panels = _panels(found, grid, names[shown], shown, background)
    picture = out / f"{slide_id}.jpg"
    with atomic_path(picture) as temporary:
        temporary.write_bytes(encode_jpeg(slide_picture(panels, f"{slide_id}   {caption}")))
    geojson = None
    if table is not None:
        geojson = out / f"{slide_id}.geojson"
        columns = table.columns | measurements(found, names)
        write_measured_tiles(replace(table, columns=columns), geojson)
    return Heatmap(slide_id, caption, picture, geojson, found.missing)


def against_others(found: TileEvidence) -> TileEvidence:
    """Return the evidence for each class against the mean of all classes.

    What is added to all logits alike changes no probability, so a class's own logit may fall while
    the class becomes likelier. Without the mean, what is drawn is what counts.
    """
    outputs = found.outputs - found.outputs.mean()
    if found.contribution is None or found.bias is None:
        return replace(found, outputs=outputs)
    return replace(
        found,
        outputs=outputs,
        contribution=found.contribution - found.contribution.mean(axis=0),
        bias=found.bias - found.bias.mean(),
    )


def measurements(found: TileEvidence, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return ``(N,)`` values of tiles by name: ``attention``, and ``contribution <output>`` each.

    Where outputs have their own attention, it is ``attention <output>``.
    """
    columns = {}
    if found.attention is not None:
        own = len(found.attention) > 1
        for row, values in enumerate(found.attention):
            columns[f"attention {names[row]}" if own else "attention"] = values
    if found.contribution is not None:
        for name, values in zip(names, found.contribution, strict=True):
            columns[f"contribution {name}"] = values
    return columns


def _panels(
    found: TileEvidence,
    grid: np.ndarray,
    name: str,
    shown: int,
    background: Background | None,
) -> list[np.ndarray]:
    panels = [] if background is None else [plain_overview(background)]
    if found.attention is not None:
        own = len(found.attention) > 1
        title = f"{found.attention_is} for {name}" if own else found.attention_is
        panels.append(attention_map(found.attention[shown if own else 0], grid, title, background))
    if found.contribution is not None and found.bias is not None:
        total = found.contribution[shown].sum()
        title = f"for or against {name}: tiles {total:+.2f}, bias {found.bias[shown]:+.2f}"
        panels.append(contribution_map(found.contribution[shown], grid, title, background))
    if found.attention is None and found.contribution is None:
        raise ConfigError(
            "; ".join(found.missing), where="gigakit heatmap", fix="take an attention aggregator"
        )
    return panels


def _tile_file(trained: TrainedTask, number: int, tiles: Path | None) -> Path | None:
    dataset = trained.dataset
    stored = dataset.folder.read(dataset.files[number])
    slide_id = str(dataset.data.slides[number])
    folders = tile_folders(trained.prepared.folder) if tiles is None else [tiles]
    found = find_tiles(folders, slide_id, stored.coords, stored.grid)
    if found is None and tiles is not None:
        raise StoreError(
            f"has no tiles of {slide_id}, or others than its features",
            where=tiles,
            fix="give the folder that the features were made from, or leave --tiles out",
        )
    return found


def _caption(task: Task, said: dict[str, Any], shown: int, target: np.ndarray) -> str:
    if task.kind == "classification":
        probability = said["probability"][0]
        predicted = int(probability.argmax())
        return (
            f"{task.name} {task.classes[int(target[0])]}, predicted {task.classes[predicted]} "
            f"({float(probability[predicted]):.2f})"
        )
    if task.kind == "multi_label":
        truth = "unknown" if np.isnan(target[shown]) else f"{target[shown]:.0f}"
        return f"{task.labels[shown]} {truth}, predicted {float(said['probability'][0, shown]):.2f}"
    if task.kind == "regression":
        return f"{task.name} {target[0]:.3g}, predicted {float(said['value'][0, 0]):.3g}"
    event = "event" if target[1] else "censored"
    return f"{task.name} {target[0]:.3g} ({event}), risk {float(said['risk'][0, 0]):+.2f}"
