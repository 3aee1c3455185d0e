"""Views of a tile's surroundings that keep the size of cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from gigakit.core.errors import ConfigError
from gigakit.data.crops import Turns, check_range, check_views, render_crops
from gigakit.registry import AUGMENTATIONS


@AUGMENTATIONS.register_module()
class ExtendedContextCrops:
    """Move views about in a field larger than they are, and hardly enlarge them.

    A crop of ``MultiCrop`` is enlarged up to four times, so a small nucleus may look like a large
    one. Here a view of S px comes from a box of ``S^2 * scale`` px, ``scale`` about 1, anywhere in
    the field: views differ by where they lie, and cells keep their size.

    Args:
        global_px: side of a global view in px.
        global_count: global views.
        local_px: side of a local view; the paper's patch of 14 px has 98.
        local_count: local views, may be 0.
        scale: least and largest area of a box over that of its view.
        aspect: least and largest width over height of a box, logarithmically uniform.
        horizontal_flip: probability of exchanging left and right.
        vertical_flip: probability of exchanging top and bottom.
        right_angles: probability of a turn by 90, 180 or 270 degrees.
        resize: as in ``MultiCrop``.

    Raises:
        ConfigError: a range, probability, count or size that cannot be, or a field that a box does
            not fit into.

    Source: Virchow2 (Zimmermann et al. 2024), extended-context translation: views of 224 and 98 px
        out of 392 px, scale 0.9 to 1.1, aspect ratio 0.95 to 1.05.
    Differs: the paper does not say whether its scale is of the area or the side; here the area.
    """

    def __init__(
        self,
        *,
        global_px: int = 224,
        global_count: int = 2,
        local_px: int = 96,
        local_count: int = 8,
        scale: Sequence[float] = (0.9, 1.1),
        aspect: Sequence[float] = (0.95, 1.05),
        horizontal_flip: float = 0.5,
        vertical_flip: float = 0.5,
        right_angles: float = 0.0,
        resize: Literal["exact", "fast"] = "exact",
    ) -> None:
        where = "ExtendedContextCrops"
        counts = {"global_count": global_count, "local_count": local_count}
        check_views(counts, {"global_px": global_px, "local_px": local_px}, resize, where)
        if not global_count:
            raise ConfigError("got 0", where=f"{where}.global_count", fix="give 1 or more")
        check_range(scale, f"{where}.scale", low=0, high=math.inf)
        check_range(aspect, f"{where}.aspect", low=0, high=math.inf)
        self.turns = Turns(horizontal_flip, vertical_flip, right_angles, where)
        self.global_px, self.local_px = global_px, local_px
        self.global_count, self.local_count = global_count, local_count
        self.scale, self.aspect, self.resize = scale, aspect, resize

    def __call__(self, tile: np.ndarray, generator: np.random.Generator) -> dict[str, Tensor]:
        """Return a field's views.

        Args:
            tile: ``(H, W, 3)`` uint8 RGB, the field; 392 px in the paper.
            generator: draws boxes and turns.

        Returns:
            ``global_crops`` (V, 3, S, S) and ``local_crops`` (L, 3, s, s), uint8.

        Raises:
            ConfigError: the field is smaller than a box may be.
        """
        kinds = {
            "global_crops": (self.global_count, self.global_px),
            "local_crops": (self.local_count, self.local_px),
        }
        views = {}
        for name, (count, size) in kinds.items():
            boxes = self._boxes(generator, count, tile.shape[:2], size)
            turns = self.turns.draw(generator, count)
            views[name] = render_crops(tile, boxes, turns, size, self.resize)
        return views

    def _boxes(
        self, generator: np.random.Generator, count: int, shape: tuple[int, int], size: int
    ) -> np.ndarray:
        """Return ``(count, 4)`` top, left, height, width in px."""
        widest = max(self.aspect[1], 1 / self.aspect[0])
        needed = round(size * math.sqrt(self.scale[1] * widest))
        if count and min(shape) < needed:
            raise ConfigError(
                f"a tile of {shape[1]} x {shape[0]} px is smaller than a crop may be, {needed} px",
                where="ExtendedContextCrops",
                fix="give larger tiles, such as 392 px, or take MultiCrop",
            )
        draws = generator.random((count, 4))
        areas = size * size * (self.scale[0] + draws[:, 0] * (self.scale[1] - self.scale[0]))
        low, high = np.log(self.aspect[0]), np.log(self.aspect[1])
        ratios = np.exp(low + draws[:, 1] * (high - low))
        sides = np.rint(np.sqrt(np.stack([areas / ratios, areas * ratios], axis=1)))
        corners = np.floor(draws[:, 2:] * (np.array(shape) - sides + 1))
        return np.concatenate([corners, sides], axis=1).astype(np.int64)
