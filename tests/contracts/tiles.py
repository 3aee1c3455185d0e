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

# an objective of one network: no masks of the batch, no teacher, one norm of the gradient
ONE_NETWORK = {
    "train_dataloader.collate_fn.masking": None,
    "optim_wrapper.clip_grad": {"max_norm": 3.0, "_delete_": True},
    "optim_wrapper.paramwise_cfg.layer_decay_in": ["encoder"],
}


class TileObjectiveContract(ObjectiveContract):
    """The contract on ``tiny/tile``: crops, colours, masks, probes and monitors switched on.

    Blocks of masks are drawn for a whole batch, so they too depend on how it is cut.
    """

    recipe = "tiny/tile"
    still = {"model.encoder.drop_path": 0.0}
    weights_rounding = 1e-5
    # the monitor of collapse looks at a step's first batch
    takes_whole_batches = True

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls, labelled_tiles) -> dict[str, Any]:
        """Return the changes that point the recipe to drawn tiles, small as they are."""
        labelled = {"root": str(labelled_tiles), "table": str(labelled_tiles / "labels.csv")}
        # rates are no part of what is compared, and counting costs a fifth of a small step
        quick = {"default_hooks.throughput": None}
        return {"tiles": str(labelled_tiles), "labelled": labelled, **quick, **VIEWS}

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


class OneNetworkContract(TileObjectiveContract):
    """The same of an objective without a teacher: its state is weights alone.

    Every moment of a kill, and copies and shards that drop paths, are tried with a teacher.
    """

    kills = (("anywhere", (0, 2)),)
    test_a_sharded_model_is_trained_like_a_copied_one = None
    test_two_processes_killed_and_resumed_end_bit_identical = None
