"""An encoder with its projection heads: what student and teacher have alike."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from gigakit.ssl.distillation import Part


class ProjectedEncoder(nn.Module):
    """An encoder, a head of class tokens, perhaps a head of patches.

    Without a head of their own patches share the other one; their prototypes may still be others,
    where that head has ``patch_prototypes``, as iBOT's with a split last layer.

    Args:
        encoder: makes tokens.
        head: makes logits of them.
        patch_head: makes those of patches; ``None`` lets them share ``head``.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module, patch_head: nn.Module | None) -> None:
        super().__init__()
        # Any: what an encoder is called with beside forward is its own
        self.encoder: Any = encoder
        self.head: Any = head
        if patch_head is not None:
            self.patch_head: Any = patch_head

    def prototypes(self) -> dict[Part, int]:
        """Return how many prototypes class tokens and patches have."""
        shared = self.head.patch_prototypes if self._splits else self.head.prototypes
        own = getattr(self, "patch_head", None)
        return {"cls": self.head.prototypes, "patches": own.prototypes if own else shared}

    def logits(self, cls: Tensor | None, patches: Tensor | None) -> list[Tensor | None]:
        """Return logits of class tokens ``(R, D)`` and of patches ``(M, D)``.

        One head takes them in one call.
        """
        if cls is None or patches is None or hasattr(self, "patch_head"):
            return [
                None if cls is None else self.head(cls),
                None if patches is None else self._of_patches(patches),
            ]
        both: list[Tensor | None] = self.head.forward_both(cls, patches)
        return both

    @property
    def _splits(self) -> bool:
        """Whether class tokens and patches part at the last layer of one head."""
        return getattr(self.head, "last_layer2", None) is not None

    def _of_patches(self, patches: Tensor) -> Tensor:
        if hasattr(self, "patch_head"):
            logits: Tensor = self.patch_head(patches)
        else:
            logits = self.head(patches, patches=True) if self._splits else self.head(patches)
        return logits
