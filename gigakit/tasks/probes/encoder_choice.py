"""Which encoder is probed: its network, its normalisation and its weights, from any config."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor

from gigakit.config import load_config
from gigakit.core.errors import CheckpointError, ConfigError
from gigakit.data.augmentations.evaluation_transform import IMAGENET_DEVIATION, IMAGENET_MEAN
from gigakit.nn.layouts import encoder_state
from gigakit.registry import BACKBONES

# where configs keep a tile encoder: training runs, published encoders, a config of nothing else
_PLACES = (
    ("model", "backbone"), ("model", "encoder"), ("model", "student"),
    ("preparation", "encoder"), ("encoder",),
)  # fmt: skip
_ANCHOR = "cls_token"
_TEACHERS = ("teacher", "ema")


@dataclass(frozen=True)
class EncoderChoice:
    """An encoder to be probed.

    Args:
        name: how it is called in tables.
        config: from BACKBONES.
        mean: per channel, subtracted after scaling to [0, 1].
        deviation: per channel, divided by.
        read: returns its tensors; ``None`` leaves it as seeded.
        weights: the file they come from.
        input_px: side of the images that it was made or validated for; ``None`` is the encoder's
            ``image_size``.
    """

    name: str
    config: dict[str, Any]
    mean: tuple[float, ...] = IMAGENET_MEAN
    deviation: tuple[float, ...] = IMAGENET_DEVIATION
    read: Callable[[], Mapping[str, Tensor]] | None = None
    weights: Path | None = None
    input_px: int | None = None


def choice_of_config(values: Mapping[str, Any], name: str, where: Path) -> EncoderChoice:
    """Return the tile encoder of a recipe, of a run's config, or of a published encoder's.

    A tile encoder is a backbone whose ``forward`` takes ``images``. The normalisation is that of
    the data preprocessor or of the transform beside it, else ImageNet's.

    Args:
        values: the config.
        name: how the encoder is called.
        where: the config's file.

    Raises:
        ConfigError: it holds no tile encoder.
    """
    for place, config in _candidates(values):
        backbone: Any = BACKBONES.get(config["type"])
        if "images" in inspect.signature(backbone.forward).parameters:
            mean, deviation = _normalisation(values, place)
            size = _input_px(values, place)
            return EncoderChoice(name, dict(config), mean, deviation, input_px=size)
    raise ConfigError(
        "holds no tile encoder",
        where=where,
        fix="name a config with model.backbone, preparation.encoder or encoder",
    )


def choice_of_export(path: Path) -> EncoderChoice | None:
    """Return the encoder of a file that ``gigakit export`` wrote; ``None`` if it has no config.

    Raises:
        CheckpointError: the file is missing or damaged.
        ConfigError: its config holds no tile encoder.
    """
    if not path.is_file():
        raise CheckpointError("no such file", where=path)
    if path.suffix != ".safetensors":
        return None
    try:
        with safetensors.safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get("config", "")
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"cannot be read as tensors: {error}", where=path) from error
    if not text:
        return None
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.py"
        config.write_text(text, encoding="utf-8")
        values = load_config(config).values
    return choice_of_config(values, path.stem, path)


def encoder_tensors(state: Mapping[str, Tensor], where: Path) -> dict[str, Tensor]:
    """Return the tensors of the one tile encoder that is meant, under gigakit's names.

    Of a run's student and teacher the teacher is, as it is the better one while training goes on.

    Args:
        state: of an encoder, or of a whole run.
        where: the file, for errors.

    Raises:
        CheckpointError: there are several encoders, and none or several are a teacher's.
    """
    prefixes = sorted(
        name.removesuffix(_ANCHOR)
        for name in state
        if name == _ANCHOR or name.endswith(f".{_ANCHOR}")
    )
    if len(prefixes) > 1:
        teachers = [p for p in prefixes if any(p.startswith(word) for word in _TEACHERS)]
        if len(teachers) != 1:
            raise CheckpointError(
                f"holds several encoders: {', '.join(prefixes)}",
                where=where,
                fix="write one of them with gigakit export --part",
            )
        prefix = teachers[0]
        state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return encoder_state(state)


def _candidates(
    values: Mapping[str, Any],
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    for place in _PLACES:
        found: Any = values
        for key in place:
            found = found.get(key) if isinstance(found, Mapping) else None
        if isinstance(found, Mapping) and "type" in found:
            yield place, found


def _input_px(values: Mapping[str, Any], place: tuple[str, ...]) -> int | None:
    """Return the side of images in use, or of those that training was probed on."""
    around = (values.get(place[0]) if len(place) > 1 else values) or {}
    used = around.get("transform") or {}
    loader = (values.get("val_dataloader") or {}) if values.get("labelled") else {}
    probed = (loader.get("dataset") or {}).get("transform") or {}
    size: int | None = used.get("crop_px") or probed.get("size_px")
    return size


def _normalisation(
    values: Mapping[str, Any], place: tuple[str, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    around = values.get(place[0]) if len(place) > 1 else values
    settings: Mapping[str, Any] = {}
    for key in ("data_preprocessor", "transform"):
        settings = (around or {}).get(key) or settings
    deviation = settings.get("deviation") or settings.get("std")
    return tuple(settings.get("mean") or IMAGENET_MEAN), tuple(deviation or IMAGENET_DEVIATION)
