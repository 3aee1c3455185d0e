"""The projection head of self-distillation."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import HEADS

LastLayer = Literal["plain", "weight_norm", "weight_norm_frozen"]


class _Prototypes(nn.Module):
    """A linear layer without bias, ``weight_g v / |v|`` by row, under torch's former names."""

    def __init__(self, width: int, prototypes: int, *, frozen: bool) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(prototypes, 1), requires_grad=not frozen)
        self.weight_v = nn.Parameter(
            nn.init.trunc_normal_(torch.empty(prototypes, width), std=0.02)
        )

    def forward(self, *tokens: Tensor) -> list[Tensor]:
        # in one pass, and so is its backward
        weight = torch._weight_norm(self.weight_v, self.weight_g, 0)
        device = weight.device.type
        # the meta device has none
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            # autocast would do it for each of the tokens' products: it remembers parameters alone
            weight = weight.to(torch.get_autocast_dtype(device))
        return [functional.linear(x, weight) for x in tokens]


class _Plain(nn.Linear):
    """A linear layer without bias."""

    def __init__(self, width: int, prototypes: int) -> None:
        super().__init__(width, prototypes, bias=False)
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, *tokens: Tensor) -> list[Tensor]:  # type: ignore[override]
        return [functional.linear(x, self.weight) for x in tokens]


@HEADS.register_module()
class DinoHead(nn.Module):
    """An MLP to a narrow bottleneck, normalised to length 1, against K prototypes.

    With ``weight_norm`` and its gain of 1 at first, logits begin as cosines.

    Args:
        input_dim: width of the encoder.
        prototypes: K; 65,536 in DINOv2's short recipe, 131,072 in the long one.
        hidden: width of the hidden layers.
        bottleneck: width before the prototypes.
        layers: linear layers of the MLP; 1 is one linear to the bottleneck.
        last_layer: ``weight_norm`` (DINOv2: its gain is learned), ``weight_norm_frozen`` (DINO and
            iBOT's default) or ``plain`` (DINOv3).
        patch_prototypes: prototypes of a last layer for patch tokens alone, on the same MLP (iBOT
            without ``shared_head``); ``None`` lets patch tokens share the one of class tokens.

    Raises:
        ConfigError: no layer, or an unknown last layer.

    Source: DINO (Caron et al. 2021), appendix C; DINOv2's released head, whose names it has, and
        iBOT's for ``last_layer2``.
    """

    def __init__(
        self,
        *,
        input_dim: int,
        prototypes: int = 65_536,
        hidden: int = 2048,
        bottleneck: int = 256,
        layers: int = 3,
        last_layer: LastLayer = "weight_norm",
        patch_prototypes: int | None = None,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ConfigError(f"layers is {layers}", where="DinoHead", fix="give 1 or more")
        if last_layer not in ("plain", "weight_norm", "weight_norm_frozen"):
            raise ConfigError(
                f"unknown last_layer '{last_layer}'",
                where="DinoHead",
                fix="choose plain, weight_norm or weight_norm_frozen",
            )
        self.prototypes = prototypes
        self.patch_prototypes = patch_prototypes or prototypes
        self.mlp = _mlp(input_dim, hidden, bottleneck, layers)
        for module in self.mlp.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        self.last_layer = _last_layer(last_layer, bottleneck, prototypes)
        self.last_layer2: nn.Module | None = None
        if patch_prototypes is not None:
            self.last_layer2 = _last_layer(last_layer, bottleneck, patch_prototypes)

    def forward(self, x: Tensor, *, patches: bool = False) -> Tensor:
        """Return logits ``(..., K)`` of tokens ``(..., D)``.

        Args:
            x: class tokens, or patch tokens.
            patches: they are patch tokens, which may have prototypes of their own.
        """
        last = self.last_layer
        if patches and self.last_layer2 is not None:
            last = self.last_layer2
        logits: Tensor = last(self._bottleneck(x))[0]
        return logits

    def forward_both(self, cls: Tensor, patches: Tensor) -> list[Tensor]:
        """Return logits of class tokens ``(R, D)`` and of patches ``(M, D)``, as two calls would.

        The MLP runs once; the gradients of the logits are never put together.
        """
        x = self._bottleneck(torch.cat([cls, patches]))
        one, other = x.split_with_sizes([len(cls), len(patches)])
        if self.last_layer2 is not None:
            return [*self.last_layer(one), *self.last_layer2(other)]
        logits: list[Tensor] = self.last_layer(one, other)
        return logits

    def _bottleneck(self, x: Tensor) -> Tensor:
        x = self.mlp(x)
        # in half precision 1e-12 is zero
        return functional.normalize(x, dim=-1, eps=1e-6 if x.dtype == torch.float16 else 1e-12)


def _last_layer(kind: LastLayer, bottleneck: int, prototypes: int) -> nn.Module:
    if kind == "plain":
        return _Plain(bottleneck, prototypes)
    return _Prototypes(bottleneck, prototypes, frozen=kind == "weight_norm_frozen")


def _mlp(width: int, hidden: int, bottleneck: int, layers: int) -> nn.Module:
    if layers == 1:
        return nn.Linear(width, bottleneck)
    parts: list[nn.Module] = [nn.Linear(width, hidden), nn.GELU()]
    for _ in range(layers - 2):
        parts += [nn.Linear(hidden, hidden), nn.GELU()]
    return nn.Sequential(*parts, nn.Linear(hidden, bottleneck))
