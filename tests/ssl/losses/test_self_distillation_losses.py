"""Losses of self-distillation: the published arrays, definitions, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES

GRADIENT = {"rtol": 1e-4, "atol": 1e-7}


@pytest.fixture
def arrays(shared):
    def read(name):
        with np.load(shared / f"reference/ssl/{name}.npz") as file:
            return {key: torch.from_numpy(np.asarray(value)) for key, value in file.items()}

    return read


def build(name, **settings):
    return LOSSES.build({"type": name, **settings})


def test_dino_is_the_published_loss_and_gradient(arrays):
    found = arrays("dino_loss")
    local = found["student_local"].requires_grad_()
    views = found["student_global"].requires_grad_()
    targets = found["sinkhorn_probs_it3"].unflatten(0, (2, -1))
    loss = build("DinoLoss")
    parts = loss(views, local, targets)
    assert parts["local"].item() == pytest.approx(found["dino_local_crops_loss"].item(), rel=1e-5)
    # the reference compares view i with row i of the targets; here they are crossed
    aligned = loss(views, local, targets.flip(0))["global"]
    assert aligned.item() == pytest.approx(found["dino_global_crops_loss"].item(), rel=1e-5)
    (parts["local"] + aligned).backward()
    torch.testing.assert_close(local.grad, found["grad_student_local"], **GRADIENT)
    torch.testing.assert_close(views.grad, found["grad_student_global"], **GRADIENT)


def test_dino_is_the_mean_over_all_pairs_of_different_views():
    generator = torch.Generator().manual_seed(0)
    views, local, targets = (
        torch.randn(n, 5, 7, generator=generator, dtype=torch.double) for n in (2, 3, 2)
    )
    targets = targets.softmax(dim=-1)

    def pair(student, target):
        return -(target * (student / 0.1).log_softmax(dim=-1)).sum(dim=-1).mean()

    pairs = [pair(s, t) for s in local for t in targets]
    pairs += [pair(views[0], targets[1]), pair(views[1], targets[0])]
    parts = build("DinoLoss")(views, local, targets)
    torch.testing.assert_close(parts["local"] + parts["global"], sum(pairs) / len(pairs))
    alone = build("DinoLoss")(views, local[:0], targets)
    torch.testing.assert_close(alone["global"], (pairs[-1] + pairs[-2]) / 2)
    assert alone["local"] == 0


def test_uniform_students_lose_the_logarithm_of_the_prototypes():
    targets = torch.rand(2, 4, 50, generator=torch.Generator().manual_seed(0)).softmax(-1)
    parts = build("DinoLoss")(torch.zeros(2, 4, 50), torch.zeros(8, 4, 50), targets)
    assert (parts["local"] + parts["global"]).item() == pytest.approx(np.log(50), rel=1e-6)


def test_ibot_is_the_published_loss_and_gradient(arrays):
    found = arrays("ibot_loss")
    student = found["student_masked"].requires_grad_()
    images = len(found["masks"])
    loss = build("IbotLoss")(student, found["sinkhorn_probs_it3"], found["masks_weight"], images)
    assert loss.item() == pytest.approx(found["loss_masked_sinkhorn"].item(), rel=1e-5)
    loss.backward()
    torch.testing.assert_close(student.grad, found["grad_student_masked"], **GRADIENT)
    centered = (found["teacher_masked_logits"] / found["teacher_temp"].float()).softmax(-1)
    loss = build("IbotLoss")(student, centered, found["masks_weight"], images)
    assert loss.item() == pytest.approx(found["loss_masked_centering0"].item(), rel=1e-5)


def test_ibot_without_masks_is_zero_and_has_a_gradient():
    student = torch.zeros(0, 9, requires_grad=True)
    loss = build("IbotLoss")(student, torch.zeros(0, 9), torch.zeros(0), 4)
    assert loss.item() == 0
    loss.backward()


@pytest.mark.parametrize("case", ["", "_duplicate"])
def test_koleo_is_the_published_loss(arrays, case):
    found = arrays("koleo")
    x = found[f"x{case}"].requires_grad_()
    loss = build("KoLeoLoss")(x)
    assert loss.item() == pytest.approx(found[f"loss{case}"].item(), rel=1e-5)
    if not case:
        loss.backward()
        torch.testing.assert_close(x.grad, found["grad"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_koleo_of_several_neighbours_is_dinov3s(arrays, top_k):
    found = arrays("dinov3_extras")
    loss = build("KoLeoLoss", top_k=top_k)(found["x"])
    assert loss.item() == pytest.approx(found[f"koleo_topk{top_k}"].item(), rel=1e-5)


def test_koleo_in_half_precision_stays_finite_and_one_sample_has_none():
    x = torch.ones(4, 8, dtype=torch.float16, requires_grad=True)
    loss = build("KoLeoLoss")(x)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(x.grad).all()
    single = torch.ones(1, 8, requires_grad=True)
    build("KoLeoLoss")(single).backward()
    assert (single.grad == 0).all()
    with torch.autocast("cpu", torch.bfloat16):
        precise = build("KoLeoLoss")(torch.eye(8))
    assert precise.item() == pytest.approx(-np.log(np.sqrt(2)), rel=1e-5)


def test_kernel_density_has_the_published_value_and_spreads(arrays):
    found = arrays("kde")
    x = found["x"].double()
    itself = build("KdeLoss", include_self=True)
    assert itself(x).item() == pytest.approx(found["spreading_kde_incl_self"].item(), rel=1e-9)
    # OpenMidnight's term is the other sign
    assert -itself(x).item() == pytest.approx(found["openmidnight_value"].item(), rel=1e-6)
    loss = build("KdeLoss")
    assert loss(x).item() == pytest.approx(found["spreading_kde_leave_one_out"].item(), rel=1e-9)

    def mean_cosine(features):
        normed = functional.normalize(features, dim=-1)
        cosines = normed @ normed.T
        return ((cosines.sum() - len(x)) / (len(x) * (len(x) - 1))).item()

    moved = x.clone().requires_grad_()
    for _ in range(50):
        (gradient,) = torch.autograd.grad(loss(moved), moved)
        moved = (moved - 0.5 * gradient).detach().requires_grad_()
    assert mean_cosine(moved) < mean_cosine(x) - 0.02


def test_simclr_is_its_definition():
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(6, 5, generator=generator, dtype=torch.double) for _ in range(2))
    views = functional.normalize(torch.cat([one, other]), dim=-1)
    expected = 0.0
    for i in range(12):
        scores = [float(views[i] @ views[j]) / 0.5 for j in range(12) if j != i]
        match = float(views[i] @ views[(i + 6) % 12]) / 0.5
        expected -= (match - np.log(np.exp(scores).sum())) / 12
    assert build("SimClrLoss")(one, other).item() == pytest.approx(expected, rel=1e-10)
    assert build("SimClrLoss", temperature=0.1)(one, one).item() < 0.2


@pytest.mark.parametrize(
    ("name", "settings"), [("KoLeoLoss", {"top_k": 0}), ("SimClrLoss", {"temperature": 0.0})]
)
def test_what_cannot_be_is_refused(name, settings):
    with pytest.raises(ConfigError):
        build(name, **settings)
