"""Global and local views of a tile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from gigakit.core.errors import ConfigError
from gigakit.data.crops import Turns, area_boxes, check_range, check_views, render_crops
from gigakit.registry import AUGMENTATIONS


@AUGMENTATIONS.register_module()
class MultiCrop:
    """Cut large and small random crops out of a tile, resize and mirror them.

    The defaults are DINOv2's: 2 global and 8 local crops. Two views for SimCLR are
    ``global_count=2, local_count=0``; one view for a masked autoencoder is ``global_count=1,
    local_count=0, global_scale=(0.2, 1.0)``.

    A tile smaller than a view is enlarged, as the published crop does.

    Args:
        global_px: side of a global view in px.
        global_scale: least and largest share of the tile's area; DINOv2 (0.32, 1), iBOT (0.14, 1),
            MAE (0.2, 1).
        global_count: global views; 2 in self-distillation.
        local_px: side of a local view; 96 with patches of 16 px, 98 with 14.
        local_scale: as ``global_scale``; DINOv2 (0.05, 0.32).
        local_count: local views; DINOv2 8, may be 0.
        aspect: least and largest width over height of a crop, before it becomes a square.
        horizontal_flip: probability of exchanging left and right.
        vertical_flip: probability of exchanging top and bottom; DINOv2 0, tissue has no upside.
        right_angles: probability of a turn by 90, 180 or 270 degrees; DINOv2 0.
        resize: ``exact`` equals Pillow's bicubic within 2 grey levels; ``fast`` is OpenCV's linear
            one, which takes about half the time and is some 2 levels off on the mean.

    Raises:
        ConfigError: a range, probability, count or size that cannot be.

    Source: DINOv2 (Oquab et al. 2023), data augmentation as released; Caron et al. 2020 (SwAV),
        multi-crop.
    """

    def __init__(
        self,
        *,
        global_px: int = 224,
        global_scale: Sequence[float] = (0.32, 1.0),
        global_count: int = 2,
        local_px: int = 96,
        local_scale: Sequence[float] = (0.05, 0.32),
        local_count: int = 8,
        aspect: Sequence[float] = (3 / 4, 4 / 3),
        horizontal_flip: float = 0.5,
        vertical_flip: float = 0.0,
        right_angles: float = 0.0,
        resize: Literal["exact", "fast"] = "exact",
    ) -> None:
        counts = {"global_count": global_count, "local_count": local_count}
        sizes = {"global_px": global_px, "local_px": local_px}
        check_views(counts, sizes, resize, "MultiCrop")
        if not global_count:
            raise ConfigError("got 0", where="MultiCrop.global_count", fix="give 1 or more")
        check_range(global_scale, "MultiCrop.global_scale", low=0, high=1)
        check_range(local_scale, "MultiCrop.local_scale", low=0, high=1)
        check_range(aspect, "MultiCrop.aspect", low=0, high=math.inf)
        self.turns = Turns(horizontal_flip, vertical_flip, right_angles, "MultiCrop")
        self.global_px, self.local_px = global_px, local_px
        self.global_count, self.local_count = global_count, local_count
        self.global_scale, self.local_scale = global_scale, local_scale
        self.aspect, self.resize = aspect, resize

    def __call__(self, tile: np.ndarray, generator: np.random.Generator) -> dict[str, Tensor]:
        """Return a tile's views.

        Args:
            tile: ``(H, W, 3)`` uint8 RGB.
            generator: draws boxes and turns.

        Returns:
            ``global_crops`` (V, 3, S, S) and ``local_crops`` (L, 3, s, s), uint8.
        """
        kinds = {
            "global_crops": (self.global_count, self.global_scale, self.global_px),
            "local_crops": (self.local_count, self.local_scale, self.local_px),
        }
        views = {}
        for name, (count, scale, size) in kinds.items():
            boxes = area_boxes(generator, count, tile.shape[:2], scale, self.aspect)
            turns = self.turns.draw(generator, count)
            views[name] = render_crops(tile, boxes, turns, size, self.resize)
        return views
