"""Gram anchoring against the published values and a naive loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES
from gigakit.ssl.distillation import DistillationStep


def build(**settings):
    return LOSSES.build({"type": "GramLoss", **settings})


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, "gram_img_level"),
        ({"scope": "batch"}, "gram_batch_level"),
        ({"negatives": "removed"}, "gram_img_remove_neg"),
    ],
)
def test_it_is_the_published_loss(shared, settings, key):
    with np.load(shared / "reference/ssl/dinov3_extras.npz") as arrays:
        student, targets = (torch.from_numpy(arrays[f"gram_{x}"]) for x in ("out", "target"))
        loss = build(**settings)(student, targets)
        assert loss.item() == pytest.approx(float(arrays[key]), rel=1e-6)


def test_it_is_its_definition_and_reaches_the_student_alone():
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(2, 3, 4, generator=generator, dtype=torch.double, requires_grad=True)
    targets = torch.randn(2, 3, 6, generator=generator, dtype=torch.double, requires_grad=True)
    pairs = [
        functional.cosine_similarity(student[image, i], student[image, j], dim=0)
        - functional.cosine_similarity(targets[image, i], targets[image, j], dim=0)
        for image in range(2)
        for i in range(3)
        for j in range(3)
    ]
    loss = build()(student, targets)
    torch.testing.assert_close(loss, torch.stack(pairs).square().mean())
    loss.backward()
    assert student.grad.abs().sum() > 0
    assert targets.grad is None
    assert build()(student, 3.0 * student).item() == pytest.approx(0, abs=1e-20)


def test_half_precision_is_left():
    x = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
    y = torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        inside = build()(x, y)
    assert torch.equal(inside, build()(x, y))
    assert build()(x.bfloat16(), y.bfloat16()).dtype == torch.float32


def test_of_a_step_it_compares_patches_of_student_and_teacher():
    patches, teacher, cls = torch.randn(3, 4, 5, 8, generator=torch.Generator().manual_seed(0))
    step = DistillationStep(cls=cls, local_cls=cls, patches=patches, teacher_patches=teacher)
    loss = build(weight=2.0)
    assert loss.weight == 2.0
    assert torch.equal(loss.of(step)["gram"], loss(patches, teacher))


@pytest.mark.parametrize("settings", [{"scope": "patch"}, {"negatives": "clipped"}])
def test_unknown_choices_are_refused(settings):
    with pytest.raises(ConfigError, match="GramLoss"):
        build(**settings)
