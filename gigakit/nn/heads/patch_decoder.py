"""The decoder of the image masked autoencoder.

Shapes: n images, P patches, V visible ones, D the decoder's width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.nn.blocks import initialise
from gigakit.nn.patches import patch_positions
from gigakit.nn.vit_blocks import VitBlock
from gigakit.registry import ATTENTIONS, HEADS


@HEADS.register_module()
class PatchDecoder(nn.Module):
    """Predict every patch of an image from its encoded visible patches.

    Encoded tokens return to their places, a learned token stands for each patch that was taken
    away, fixed sine-cosine positions are added, and the blocks of a vision transformer mix them
    together with cls.

    Args:
        input_dim: width of the encoder.
        output_dim: numbers of a patch, ``3 p^2`` for pixels.
        patches_per_side: of the square image; the objective tells it.
        width: D; 512 in MAE.
        depth: blocks; 8 in MAE.
        heads: 16 in MAE.
        mlp_ratio: hidden width of the feed-forward over D.
        attention: config from ATTENTIONS.

    Raises:
        ConfigError: a width that its heads do not divide, or that is no multiple of 4.

    Source: MAE (He et al. 2022), section 3, "MAE decoder".
    """

    positions: Tensor

    def __init__(
        self,
        *,
        input_dim: int,
        output_dim: int,
        patches_per_side: int = 14,
        width: int = 512,
        depth: int = 8,
        heads: int = 16,
        mlp_ratio: float = 4.0,
        attention: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(
                f"width {width} is no multiple of {heads} heads",
                where="PatchDecoder",
                fix="choose sizes that divide",
            )
        self.embed = nn.Linear(input_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        variant = ATTENTIONS.build(attention or {"type": "FullAttention"})
        self.blocks = nn.ModuleList(
            VitBlock(width, heads, int(width * mlp_ratio), variant, gated=False, layer_scale=None)
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.predict = nn.Linear(width, output_dim)
        positions = patch_positions(width, patches_per_side, patches_per_side)
        self.register_buffer("positions", positions, persistent=False)
        self.apply(initialise)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, tokens: Tensor, restore: Tensor) -> Tensor:
        """Predict patches.

        Args:
            tokens: ``(n, 1 + V, input_dim)`` encoder output, cls first, the visible patches in the
                order in which they were kept.
            restore: ``(n, P)`` place of each patch among the kept ones, V and more for one that was
                taken away.

        Returns:
            ``(n, P, output_dim)``.
        """
        encoded = self.embed(tokens)
        cls, visible = encoded[:, :1], encoded[:, 1:]
        missing = restore.shape[1] - visible.shape[1]
        hidden = self.mask_token.to(visible.dtype).expand(len(visible), missing, -1)
        ordered = torch.cat([visible, hidden], dim=1)
        x = torch.cat([cls, torch.take_along_dim(ordered, restore.unsqueeze(-1), dim=1)], dim=1)
        x = x + self.positions.to(x.dtype)
        for block in self.blocks:
            x = block(x)
        predictions: Tensor = self.predict(self.norm(x))[:, 1:]
        return predictions
