"""The contract of objectives on images: small crops of drawn tiles, validated on labelled ones."""

from __future__ import annotations

from typing import Any

import pytest
from contracts.objective import ObjectiveContract
from tasks.probes import drawn

ENCODER = {
    "type": "VisionTransformer", "image_size": 32, "patch_size": 8, "width": 16, "depth": 2,
    "heads": 2, "layer_scale": 0.1, "drop_path": 0.3,
}  # fmt: skip
VIEWS = {
    "train_dataloader.dataset.views.global_px": 32,
    "train_dataloader.dataset.views.local_px": 16,
    "val_dataloader.dataset.transform.size_px": 32,
}
# all crops of a tile are the tile itself, in two sizes
WHOLE_TILES = {
    "model.data_preprocessor.photometric": [],
    "train_dataloader.dataset.views.global_scale": (1.0, 1.0),
    "train_dataloader.dataset.views.local_scale": (1.0, 1.0),
    "train_dataloader.dataset.views.aspect": (1.0, 1.0),
    "train_dataloader.dataset.views.horizontal_flip": 0.0,
}
PREPROCESSOR = {
    "type": "TileViews",
    "photometric": [
        {"type": "ColorJitter"}, {"type": "RandomGrey"}, {"type": "GaussianBlur"},
        {"type": "Solarize"},
    ],
}  # fmt: skip
MONITORS = [
    {"type": "LossSpikeHook", "window_steps": 20},
    {"type": "CollapseHook", "interval_steps": 4},
]


class TileObjectiveContract(ObjectiveContract):
    """The contract on ``tiny/tile``: crops, colours, masks, probes and monitors switched on.

    Blocks of masks are drawn for a whole batch, so they too depend on how it is cut.
    """

    recipe = "tiny/tile"
    still = {"model.encoder.drop_path": 0.0}
    weights_rounding = 1e-5
    # every moment is tried on one objective; what is special to another shows at any
    kills = (("anywhere", (0, 2)),)
    killed_wrappers = ()

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls, tile_folder) -> dict[str, Any]:
        """Return the changes that point the recipe to drawn tiles, small as they are."""
        labelled = {"root": str(tile_folder), "table": str(tile_folder / "labels.csv")}
        return {"tiles": str(tile_folder), "labelled": labelled, **VIEWS}

    @pytest.fixture(scope="class")
    @classmethod
    def one_tile(cls, tmp_path_factory) -> dict[str, Any]:
        """Return the changes after which every crop of every batch is the same tile."""
        row = drawn.rows(cases=1, tiles=1)
        folder = drawn.write_folder(tmp_path_factory.mktemp("one"), side=64, found=row)
        return {"tiles": str(folder), **WHOLE_TILES}

    def with_gradient(self, weights: dict[str, Any]) -> dict[str, Any]:
        """Leave out biases of keys, whose gradient is rounding, of which AdamW makes steps."""
        return {
            name: value.unflatten(0, (3, -1))[[0, 2]] if name.endswith("qkv.bias") else value
            for name, value in weights.items()
        }
