"""A step of tile-encoder pretraining computed the published way: the baseline of a benchmark.

A plain rendering of how DINOv2's released trainer computes, on gigakit's parameters: layers over
lists of crops, blocks of the batch for stochastic depth, whole log-probabilities for each pair of
crops, an optimiser and a teacher that go through tensors in groups. It asks for nothing of the
processor that its users would not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class PublishedStep:
    """Student and teacher of a :class:`SelfDistillation`, trained the published way.

    Args:
        model: a SelfDistillation with DINO, iBOT and KoLeo, a shared head and centering.
        drop_path: rate of stochastic depth.
        lr: learning rate.
    """

    def __init__(self, model, *, drop_path: float, lr: float) -> None:  # noqa: ANN001
        self.student, self.teacher = model.student, model.teacher
        self.drop_path = drop_path
        self.optimizer = torch.optim.AdamW(
            [p for p in self.student.parameters() if p.requires_grad], lr=lr, foreach=True
        )
        prototypes = self.student.head.prototypes
        # heads take a buffer of the most patches that may be masked
        self.upper_bound = 0
        self.center, self.patch_center = torch.zeros(1, prototypes), torch.zeros(1, 1, prototypes)

    def __call__(self, batch: dict[str, Tensor]) -> float:
        """Make one step and return the loss."""
        images = batch["global_crops"].shape[1]
        views = batch["global_crops"].flatten(0, 1), batch["local_crops"].flatten(0, 1)
        indices, weights = batch["mask_indices"], batch["mask_weights"]
        masked_rows = len(indices)
        self.upper_bound = _upper_bound(images, batch["masks"].shape[1])
        with torch.no_grad():
            cls, patches = _encode(self.teacher.encoder, [views[0]], [None], 0.0)[0]
            logits = self.teacher.head(torch.cat([cls, self._buffer(patches, indices)]))
            targets = self._centered(logits[: len(cls)])
            of_patches = logits[len(cls) : len(cls) + masked_rows]
            patch_targets = self._patches_centered(of_patches.unsqueeze(0)).squeeze(0)
        crops = _encode(self.student.encoder, views, [batch["masks"], None], self.drop_path)
        (cls, patches), (local, _) = crops
        buffer = self._buffer(patches, indices)
        logits = self.student.head(torch.cat([local, cls, buffer]))
        of_local, of_global, of_patches = logits.split([len(local), len(cls), len(buffer)])
        of_patches = of_patches[:masked_rows]
        loss = _dino(of_local, of_global, targets, images)
        loss = loss + 0.1 * sum(_koleo(view) for view in cls.chunk(2))
        ibot = torch.sum(patch_targets * functional.log_softmax(of_patches / 0.1, dim=-1), dim=-1)
        loss = loss - (ibot * weights).sum() / len(cls)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for part in (self.student.encoder, self.student.head):
            nn.utils.clip_grad_norm_(part.parameters(), 3.0)
        self.optimizer.step()
        self._follow()
        return loss.item()

    def _buffer(self, patches: Tensor, indices: Tensor) -> Tensor:
        buffer = patches.new_zeros(self.upper_bound, patches.shape[-1])
        buffer[: len(indices)].copy_(patches.flatten(0, 1).index_select(0, indices))
        return buffer

    def _centered(self, logits: Tensor) -> Tensor:
        found = functional.softmax((logits - self.center) / 0.07, dim=-1)
        self.center = self.center * 0.9 + logits.mean(dim=0, keepdim=True) * 0.1
        return found

    def _patches_centered(self, logits: Tensor) -> Tensor:
        found = functional.softmax((logits - self.patch_center) / 0.07, dim=-1)
        mean = logits.mean(dim=1).mean(dim=0, keepdim=True)
        self.patch_center = self.patch_center * 0.9 + mean * 0.1
        return found

    @torch.no_grad()
    def _follow(self) -> None:
        own, others = list(self.teacher.parameters()), list(self.student.parameters())
        torch._foreach_mul_(own, 0.996)
        torch._foreach_add_(own, others, alpha=0.004)


def _upper_bound(images: int, patches: int) -> int:
    masked = images
    edges = torch.linspace(0.1, 0.5, masked + 1)[1:]
    return sum(int(patches * edge) for edge in edges)


def _encode(encoder, views, masks, drop_path):  # noqa: ANN001, ANN202
    """Return class and patch tokens of each view; blocks go over the list of views."""
    crops = [encoder._embed(view, mask) for view, mask in zip(views, masks, strict=True)]
    for block in encoder.blocks:
        for branch in (_attention, _feed_forward):
            crops = _add(block, branch, crops, drop_path)
    normed = [encoder.norm(crop) for crop in crops]
    return [(crop[:, 0], crop[:, 1:]) for crop in normed]


def _add(block, branch, crops, drop_path):  # noqa: ANN001, ANN202
    if drop_path == 0.0:
        residuals = branch(block, crops)
        return [crop + residual for crop, residual in zip(crops, residuals, strict=True)]
    kept = [torch.randperm(len(c))[: max(int(len(c) * (1 - drop_path)), 1)] for c in crops]
    residuals = branch(block, [crop[rows] for crop, rows in zip(crops, kept, strict=True)])
    return [
        torch.index_add(
            crop.flatten(1), 0, rows, residual.flatten(1), alpha=len(crop) / len(rows)
        ).view_as(crop)
        for crop, rows, residual in zip(crops, kept, residuals, strict=True)
    ]


def _attention(block, crops):  # noqa: ANN001, ANN202
    packed = torch.cat([crop.reshape(1, -1, crop.shape[-1]) for crop in crops], dim=1)
    qkv = block.attn.qkv(block.norm1(packed))
    heads, attended, first = block.attn.heads, [], 0
    for crop in crops:
        size = crop.shape[0] * crop.shape[1]
        own = qkv[0, first : first + size].view(*crop.shape[:2], 3, heads, -1)
        q, k, v = own.permute(2, 0, 3, 1, 4)
        out = functional.scaled_dot_product_attention(q, k, v)
        attended.append(out.transpose(1, 2).reshape(1, size, -1))
        first += size
    projected = block.attn.proj(torch.cat(attended, dim=1))
    return _parted(projected * block.ls1.gamma, crops)


def _feed_forward(block, crops):  # noqa: ANN001, ANN202
    packed = torch.cat([crop.reshape(1, -1, crop.shape[-1]) for crop in crops], dim=1)
    return _parted(block.mlp(block.norm2(packed)) * block.ls2.gamma, crops)


def _parted(packed: Tensor, crops: list[Tensor]) -> list[Tensor]:
    parts = packed[0].split([crop.shape[0] * crop.shape[1] for crop in crops])
    return [part.view(crop.shape) for part, crop in zip(parts, crops, strict=True)]


def _dino(local: Tensor, crossed: Tensor, targets: Tensor, images: int) -> Tensor:
    students = local.split(images)
    teachers = targets.split(images)
    pairs = 2 * len(students) + 2
    loss = 0.0
    for student in students:
        log_probabilities = functional.log_softmax(student / 0.1, dim=-1)
        for teacher in teachers:
            loss = loss - torch.sum(teacher * log_probabilities, dim=-1).mean()
    swapped = torch.cat(teachers[::-1])
    log_probabilities = functional.log_softmax(crossed / 0.1, dim=-1)
    return (loss - 2 * torch.sum(swapped * log_probabilities, dim=-1).mean()) / pairs


def _koleo(features: Tensor) -> Tensor:
    x = functional.normalize(features, eps=1e-8, dim=-1)
    similarity = x @ x.T
    similarity.view(-1)[:: len(x) + 1].fill_(-1)
    nearest = similarity.argmax(dim=1)
    return -torch.log(functional.pairwise_distance(x, x[nearest], eps=1e-8) + 1e-8).mean()
