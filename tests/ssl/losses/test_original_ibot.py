"""The original iBOT from the registered pieces: losses, centers and heads as published."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigakit.registry import HEADS, LOSSES, TARGETS

VIEWS, LOCAL, IMAGES = 2, 3, 4


@pytest.fixture
def arrays(shared):
    def read(name):
        with np.load(shared / f"reference/ssl/ibot_original_{name}.npz") as file:
            return {key: torch.from_numpy(np.asarray(value)) for key, value in file.items()}

    return read


def centering(prototypes):
    return TARGETS.build({"type": "Centering"}, prototypes=prototypes)


def test_losses_and_centers_follow_the_published_steps(arrays):
    found = arrays("loss")
    class_targets, patch_targets = centering(64), centering(48)
    masks = torch.cat([found["mask0"], found["mask1"]]).flatten(1)
    index = masks.flatten().nonzero().flatten()
    weights = (1.0 / masks.sum(dim=1))[index // masks.shape[1]]
    student = found["student_patch"].flatten(0, 1)[index]
    every_patch = found["teacher_patch"].flatten(0, 1)
    for epoch in (0, 1, 5):
        # temperatures of class and patch are schedules of their own, stepped by epoch
        targets = class_targets(found["teacher_cls"], float(found["temp_schedule"][epoch]))
        parts = LOSSES.build({"type": "DinoLoss"})(
            found["student_cls"].unflatten(0, (VIEWS, IMAGES)),
            found["student_local_cls"].unflatten(0, (LOCAL, IMAGES)),
            targets.unflatten(0, (VIEWS, IMAGES)),
        )
        by_class = parts["local"] + parts["global"]
        temperature = float(found["temp2_schedule"][epoch])
        masked = patch_targets(every_patch[index], temperature, population=every_patch)
        by_patch = LOSSES.build({"type": "IbotLoss"})(student, masked, weights, VIEWS * IMAGES)
        for name, value in (
            ("cls", by_class),
            ("patch", by_patch),
            ("loss", by_class + float(found["lambda2"]) * by_patch),
        ):
            assert value.item() == pytest.approx(found[f"epoch{epoch}_{name}"].item(), rel=1e-6)
        for targets, key in ((class_targets, "center"), (patch_targets, "center2")):
            wanted = found[f"epoch{epoch}_{key}_after"].flatten()
            torch.testing.assert_close(targets.center, wanted, rtol=1e-5, atol=1e-7)


def test_a_center_follows_the_population_and_not_what_is_masked():
    generator = torch.Generator().manual_seed(0)
    population = torch.randn(10, 5, generator=generator)
    whole, some, none = centering(5), centering(5), centering(5)
    dense = whole(population, 0.1)
    assert torch.equal(some(population[2:4], 0.1, population), dense[2:4])
    assert none(population[:0], 0.1, population).shape == (0, 5)
    assert torch.equal(some.center, whole.center)
    assert torch.equal(none.center, whole.center)


@pytest.mark.parametrize(("name", "patch_prototypes"), [("shared", None), ("split", 48)])
def test_heads_are_the_published_ones(arrays, name, patch_prototypes):
    found = arrays(f"head_{name}")
    state = {
        key.removeprefix("sd."): value for key, value in found.items() if key.startswith("sd.")
    }
    if patch_prototypes is None:
        # the released module names the one layer twice
        for part in ("weight_g", "weight_v"):
            copy = state.pop(f"last_layer2.{part}")
            assert torch.equal(copy, state[f"last_layer.{part}"])
    head = HEADS.build(
        {
            "type": "DinoHead",
            "prototypes": 64,
            "hidden": 32,
            "bottleneck": 12,
            "last_layer": "weight_norm_frozen",
            "patch_prototypes": patch_prototypes,
        },
        input_dim=20,
    )
    head.load_state_dict(state, strict=True)
    assert head.patch_prototypes == found["patch"].shape[-1]
    with torch.no_grad():
        torch.testing.assert_close(head(found["x"][:, 0]), found["cls"], rtol=0, atol=2e-6)
        patches = head(found["x"][:, 1:], patches=True)
        torch.testing.assert_close(patches, found["patch"], rtol=0, atol=2e-6)
    frozen = {name for name, p in head.named_parameters() if not p.requires_grad}
    assert frozen == {name for name in state if name.endswith("weight_g")}
