"""Put a trained tile encoder into the package, in float16, with its metadata and a card to fill in.

``python tools/ship_encoder.py work_dirs/gigapath_tile/3 --name gigakit-tiny --resize-px 128
--crop-px 112 --trained-on "12,345 tiles of 30 slides (where from, their licence)"``
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gigakit.cli.probe_encoders import choose_encoders
from gigakit.core.assets import FOLDER, SUFFIX, card_of
from gigakit.core.files import write_text
from gigakit.data.tile_files import open_tile_files
from gigakit.nn.position_interpolation import interpolate_positions
from gigakit.tasks.own_encoder import write_own_encoder
from gigakit.tasks.probes.encoder_choice import EncoderChoice, encoder_tensors
from gigakit.tasks.probes.frozen_encoder import FrozenEncoder
from gigakit.wsi.image_decoding import decode_image

# what belongs to training; the weights do not know it
_TRAINING_ONLY = ("drop_path", "drop_path_shape", "drop_path_mode", "maskable", "attention")
_CARD = """# {name}: gigakit's own small tile encoder

Trained on {trained_on}. Licence of the weights: {licence}. It is not a pathology foundation model.

Encoder `{encoder}`, tiles by `{transform}`.

Config, data list, log, and figures with intervals: TO BE WRITTEN.
"""


def _for_crops(
    encoder: dict[str, Any], state: Mapping[str, Tensor], crop_px: int
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Resize learned positions once, as every forward pass of larger crops would."""
    sized = {**encoder, "image_size": crop_px}
    side = crop_px // encoder["patch_size"]
    mode = encoder.get("interpolation", "offset")
    return sized, {
        **state,
        "pos_embed": interpolate_positions(state["pos_embed"], side, side, mode),
    }


def _standardised(
    choice: EncoderChoice, state: Mapping[str, Tensor], tiles: Path, crop_px: int
) -> dict[str, Tensor]:
    """Set the last norm so that class tokens of these tiles have mean 0 and deviation 1.

    Nothing else changes: what a linear layer could do, here done once. Vectors whose mean is many
    times their spread are alike to a cosine, and a model that predicts them learns the mean first.
    """
    files, encoder = open_tile_files(tiles), FrozenEncoder(choice, input_px=crop_px)
    rows = [
        encoder.embed([decode_image(files.read(name)) for name in files.names[start : start + 32]])
        for start in range(0, len(files.names), 32)
    ]
    vectors = torch.from_numpy(np.concatenate(rows)).double()
    mean, deviation = vectors.mean(dim=0), vectors.std(dim=0)
    print(f"{len(vectors)} tiles: deviation {deviation.min():.3g} to {deviation.max():.3g}")
    scale, offset = (state[f"norm.{name}"].double() for name in ("weight", "bias"))
    return {
        **state,
        "norm.weight": (scale / deviation).float(),
        "norm.bias": ((offset - mean) / deviation).float(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="folder of a run, or a file that gigakit export wrote")
    parser.add_argument("--name", required=True)
    parser.add_argument("--resize-px", type=int, required=True)
    parser.add_argument("--crop-px", type=int, required=True)
    parser.add_argument("--trained-on", required=True)
    parser.add_argument("--licence", default="Apache-2.0")
    parser.add_argument("--standardise", type=Path, help="tiles of the training: their vectors")
    arguments = parser.parse_args()
    (choice,) = choose_encoders([arguments.source], [])
    if choice is None or choice.read is None or choice.weights is None:
        parser.error(f"{arguments.source} has no weights")
    encoder = {k: v for k, v in choice.config.items() if k not in _TRAINING_ONLY}
    transform = {
        "type": "EvaluationTransform",
        "resize_px": arguments.resize_px,
        "crop_px": arguments.crop_px,
    }
    said = {"trained_on": arguments.trained_on, "licence": arguments.licence}
    path = FOLDER / f"{arguments.name}{SUFFIX}"
    state = encoder_tensors(choice.read(), choice.weights)
    if arguments.standardise:
        state = _standardised(choice, state, arguments.standardise, arguments.crop_px)
    encoder, state = _for_crops(encoder, state, arguments.crop_px)
    write_own_encoder(state, path, encoder=encoder, transform=transform, **said)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    if not card_of(path).exists():
        card = _CARD.format(name=arguments.name, encoder=encoder, transform=transform, **said)
        write_text(card_of(path), card)
        print(f"{card_of(path)}: fill it in")


if __name__ == "__main__":
    main()
