"""The encoders that ``gigakit probe`` is given: names, configs, runs, exports and baselines."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from gigakit.tasks.probes.encoder_choice import EncoderChoice

BASELINE = "colour-texture"
UNTRAINED = "untrained"
_WEIGHTS = (".safetensors", ".pth", ".pt", ".bin")


def choose_encoders(encoders: Sequence[str], weights: Sequence[Path]) -> list[EncoderChoice | None]:
    """Return the encoders in the order given; ``None`` stands for the hand-made baseline.

    Files of ``weights`` go to the encoders that need some, in order: those named by a config. What
    is left over must be an export that holds its config.

    Args:
        encoders: each a run's folder, an export, a config or its name, ``untrained``,
            ``untrained:CONFIG`` or ``colour-texture``.
        weights: files.

    Raises:
        ConfigError: one cannot be found, or files and encoders do not match.
        CheckpointError: a file is missing or damaged.
    """
    from gigakit.core.errors import ConfigError

    files = list(weights)
    needing = [name for name in encoders if _needs_weights(name)]
    alone = files if not needing else []
    if alone:
        files = []
    elif len(needing) != len(files):
        raise ConfigError(
            f"{len(files)} files for the configs {', '.join(needing) or 'none'}",
            where="--weights",
            fix="give one file for each, or add --encoder untrained:CONFIG for one without",
        )
    given: list[EncoderChoice | None] = [_export(path) for path in alone]
    for name in encoders:
        file = files.pop(0) if _needs_weights(name) else None
        given.append(None if name == BASELINE else _choice(name, file, given))
    if not given:
        raise ConfigError(
            "no encoder", where="gigakit probe", fix=f"name one with --encoder, such as {BASELINE}"
        )
    return _named(given)


def _needs_weights(name: str) -> bool:
    from gigakit.core.assets import own_encoders

    path = Path(name)
    plain = name in (BASELINE, UNTRAINED) or name.startswith(f"{UNTRAINED}:")
    plain = plain or name in own_encoders()
    return not (plain or path.is_dir() or path.suffix in _WEIGHTS)


def _choice(
    name: str, weights: Path | None, others: Sequence[EncoderChoice | None]
) -> EncoderChoice:
    from gigakit.core.assets import find_weights
    from gigakit.core.errors import ConfigError

    if name == UNTRAINED:
        like = next((one for one in others if one is not None), None)
        if like is None:
            raise ConfigError(
                "of which encoder?",
                where=f"--encoder {UNTRAINED}",
                fix=f"name a trained one before it, or write {UNTRAINED}:CONFIG",
            )
        return replace(like, name=f"{UNTRAINED} {like.name}", read=None, weights=None)
    if name.startswith(f"{UNTRAINED}:"):
        config = name.removeprefix(f"{UNTRAINED}:")
        return replace(_of_config(config), name=f"{UNTRAINED} {Path(config).stem}")
    if Path(name).is_dir():
        return _of_run(Path(name))
    if weights is None:
        return _export(find_weights(name))
    return replace(_of_config(name), read=_reader(weights), weights=weights)


def _of_config(name: str) -> EncoderChoice:
    from gigakit.config import find_encoder, recipes

    # a recipe's name, else a published encoder's, whose error says what there is
    path = Path(name) if Path(name).is_file() else recipes().get(name) or find_encoder(name)
    return _read_config(path, Path(name).stem)


def _read_config(path: Path, name: str) -> EncoderChoice:
    from gigakit.config import import_custom, load_config
    from gigakit.tasks.probes.encoder_choice import choice_of_config

    loaded = load_config(path)
    import_custom(loaded.values.get("custom_imports"), loaded.path)
    return choice_of_config(loaded.values, name, path)


def _of_run(folder: Path) -> EncoderChoice:
    from gigakit.core.errors import CheckpointError, ConfigError
    from gigakit.engine.checkpoint import FOLDER, checkpoint_step, find_resume

    config = folder / "config.py"
    if not config.is_file():
        raise ConfigError("is no folder of a run: it has no config.py", where=folder)
    checkpoint = find_resume(folder)
    if checkpoint is None:
        raise CheckpointError("holds no valid checkpoint", where=folder / FOLDER)
    name = f"{folder.absolute().parent.name}/{folder.name} step {checkpoint_step(checkpoint)}"
    choice = _read_config(config, name)
    return replace(choice, read=_reader(checkpoint), weights=checkpoint)


def _export(path: Path) -> EncoderChoice:
    from gigakit.core.errors import ConfigError
    from gigakit.tasks.probes.encoder_choice import choice_of_export

    choice = choice_of_export(path)
    if choice is None:
        raise ConfigError(
            "does not hold the config of its encoder",
            where=path,
            fix="name the config with --encoder beside --weights",
        )
    return replace(choice, read=_reader(path), weights=path)


def _reader(path: Path) -> Callable[[], dict[str, Tensor]]:
    from gigakit.engine.checkpoint import read_run_weights

    return functools.partial(read_run_weights, path)


def _named(given: Sequence[EncoderChoice | None]) -> list[EncoderChoice | None]:
    """Return them with names that differ: they name rows and files."""
    seen: Counter[str] = Counter()
    named: list[EncoderChoice | None] = []
    for one in given:
        name = BASELINE if one is None else one.name
        seen[name] += 1
        again = one is not None and seen[name] > 1
        named.append(replace(one, name=f"{name} {seen[name]}") if one and again else one)
    return named
