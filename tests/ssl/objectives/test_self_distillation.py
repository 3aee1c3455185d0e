"""Self-distillation: what its step is made of, the teacher, masks, errors."""

from __future__ import annotations

import copy
import logging

import numpy as np
import pytest
import torch
from contracts.tiles import ENCODER as CONTRACT_ENCODER
from contracts.tiles import MONITORS, PREPROCESSOR, TileObjectiveContract

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES, MASKINGS, OBJECTIVES

ENCODER = {
    "type": "VisionTransformer", "image_size": 32, "patch_size": 8, "width": 16, "depth": 2,
    "heads": 2, "layer_scale": 0.1,
}  # fmt: skip
HEAD = {"type": "DinoHead", "prototypes": 24, "hidden": 20, "bottleneck": 8}
ALL = ("DinoLoss", "IbotLoss", "KoLeoLoss")
IMAGES = 3


def build(losses=ALL, seed=0, **changes):
    torch.manual_seed(seed)
    config = {
        "type": "SelfDistillation",
        "encoder": dict(ENCODER),
        "head": dict(HEAD),
        "losses": [{"type": loss} if isinstance(loss, str) else loss for loss in losses],
    }
    return OBJECTIVES.build({**config, **changes})


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    masking = MASKINGS.build({"type": "BlockMasks", "ratio": [0.2, 0.5], "min_patches": 1})
    masks = torch.from_numpy(masking.draw(2 * IMAGES, 4, 4, np.random.default_rng(0)))
    weights = (1 / masks.sum(dim=1, keepdim=True).clamp(min=1)).expand_as(masks)
    return {
        "global_crops": torch.randn(2, IMAGES, 3, 32, 32, generator=generator),
        "local_crops": torch.randn(4, IMAGES, 3, 16, 16, generator=generator),
        "masks": masks,
        "mask_indices": masks.flatten().nonzero().flatten(),
        "mask_weights": weights[masks],
    }


def without_masks(batch):
    return {name: value for name, value in batch.items() if "crops" in name}


def test_each_loss_is_that_of_separate_passes(batch):
    """The naive way: one crop at a time, one head call for each, losses by their definitions."""
    model = build(patch_head=dict(HEAD, prototypes=12)).train()
    found = model(**batch, mode="loss")
    student, teacher = model.student, model.teacher

    def cls(network, crop):
        return network.encoder(crop)

    local = torch.stack([student.head(cls(student, crop)) for crop in batch["local_crops"]])
    rows = batch["masks"].unflatten(0, (2, -1))
    views = [
        student.encoder.forward_views([crop], [mask])[0]
        for crop, mask in zip(batch["global_crops"], rows, strict=True)
    ]
    seen = [teacher.encoder.forward_views([crop])[0] for crop in batch["global_crops"]]
    # the centers of a first step are zero
    targets = torch.stack([(teacher.head(view.cls) / 0.04).softmax(dim=-1) for view in seen])
    dino = LOSSES.build({"type": "DinoLoss"})(
        torch.stack([student.head(view.cls) for view in views]), local, targets
    )
    masked = torch.cat([view.patches for view in views])[batch["masks"]]
    told = torch.cat([view.patches for view in seen])[batch["masks"]]
    ibot = LOSSES.build({"type": "IbotLoss"})(
        student.patch_head(masked),
        (teacher.patch_head(told) / 0.04).softmax(dim=-1),
        batch["mask_weights"],
        2 * IMAGES,
    )
    koleo = LOSSES.build({"type": "KoLeoLoss"})
    expected = {
        "loss_dino_local": dino["local"],
        "loss_dino_global": dino["global"],
        "loss_ibot": ibot,
        "loss_koleo": 0.1 * sum(koleo(view.cls) for view in views),
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)


def test_a_shared_head_gives_what_two_calls_give(batch):
    model = build().train()
    rows, patches = torch.randn(5, 16), torch.randn(7, 16)
    together = model.student.logits(rows, patches)
    for one, alone in zip(together, (rows, patches), strict=True):
        torch.testing.assert_close(one, model.student.head(alone))


@pytest.mark.parametrize(
    ("losses", "masked"),
    [
        (ALL, True),
        (("IbotLoss",), True),
        (("DinoLoss",), True),
        (("DinoLoss",), False),
        (("DinoLoss", "KdeLoss"), False),
    ],
)
def test_every_trained_parameter_gets_a_gradient(batch, losses, masked):
    model = build(losses).train()
    sum(model(**(batch if masked else without_masks(batch)), mode="loss").values()).backward()
    missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []
    assert all(p.grad is None for p in model.teacher.parameters())


def test_masks_act_on_the_class_loss_and_their_absence_does_not(batch):
    model = build(("DinoLoss",)).train()
    whole = model(**without_masks(batch), mode="loss")
    masked = model(**batch, mode="loss")
    # the center moved in between: only student crops are compared, on fresh models
    again = build(("DinoLoss",)).train()(**without_masks(batch), mode="loss")
    torch.testing.assert_close(whole["loss_dino_global"], again["loss_dino_global"])
    assert not torch.allclose(masked["loss_dino_global"], whole["loss_dino_global"], rtol=1e-4)


def test_without_local_crops_the_global_ones_are_left(batch):
    few = {**batch, "local_crops": batch["local_crops"][:0]}
    found = build().train()(**few, mode="loss")
    assert found["loss_dino_local"] == 0
    assert found["loss_dino_global"] > 0


def test_the_teacher_starts_as_a_copy_is_not_trained_and_follows(batch):
    model = build(momentum=0.75).train()
    for mine, theirs in zip(model.teacher.parameters(), model.student.parameters(), strict=True):
        assert torch.equal(mine, theirs)
        assert not mine.requires_grad
    before = copy.deepcopy(model.teacher.state_dict())
    with torch.no_grad():
        for parameter in model.student.parameters():
            parameter += 1.0
    model.follow_student()
    for name, value in model.teacher.state_dict().items():
        torch.testing.assert_close(value, before[name] + 0.25)


def test_the_teacher_drops_nothing_in_training(batch):
    encoder = {**ENCODER, "drop_path": 0.5}
    model = build(encoder=encoder).train()
    assert model.student.encoder.training
    assert not model.teacher.encoder.training
    crop = batch["global_crops"][0]
    assert torch.equal(model.teacher.encoder(crop), model.teacher.encoder(crop))
    torch.manual_seed(0)
    one = model.student.encoder(crop)
    assert not torch.equal(one, model.student.encoder(crop))


def test_weights_multiply_and_zero_weights_count_nothing(batch):
    light = {"type": "DinoLoss", "weight": 0.5}
    one = build(("DinoLoss",)).train()(**batch, mode="loss")
    half = build((light,)).train()(**batch, mode="loss")
    for name in one:
        torch.testing.assert_close(half[name], 0.5 * one[name])


def test_patches_may_have_a_temperature_of_their_own(batch):
    same = build(("IbotLoss",), patch_teacher_temperature=0.04).train()(**batch, mode="loss")
    plain = build(("IbotLoss",)).train()(**batch, mode="loss")
    other = build(("IbotLoss",), patch_teacher_temperature=0.4).train()(**batch, mode="loss")
    assert same["loss_ibot"] == plain["loss_ibot"]
    assert not torch.allclose(other["loss_ibot"], plain["loss_ibot"], rtol=1e-3)


@pytest.mark.parametrize("targets", ["Centering", "SinkhornKnopp"])
@pytest.mark.parametrize("population", ["masked", "all"])
def test_a_batch_that_is_filled_up_gives_the_same_losses_and_gradients(batch, targets, population):
    if (targets, population) == ("SinkhornKnopp", "all"):
        pytest.skip("it follows no population")
    changes = {"targets": {"type": targets}, "patch_population": population}
    plain, filled = build(**changes).train(), build(**changes).train()
    count = len(batch["mask_indices"])
    longer = {
        **batch,
        "mask_indices": torch.nn.functional.pad(batch["mask_indices"], (0, 9)),
        "mask_weights": torch.nn.functional.pad(batch["mask_weights"], (0, 9)),
        "mask_count": torch.tensor(count),
    }
    for _ in range(2):
        expected, found = plain(**batch, mode="loss"), filled(**longer, mode="loss")
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-7)
    sum(expected.values()).backward()
    sum(found.values()).backward()
    for mine, theirs in zip(filled.student.parameters(), plain.student.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)
    for mine, theirs in zip(filled.targets.buffers(), plain.targets.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-8)


def test_predictions_are_the_teachers_class_tokens(batch):
    model = build().eval()
    images = batch["global_crops"][0]
    rows = model(images=images, label=torch.tensor([2, 0, 1]), case=["a", "b", "c"], mode="predict")
    expected = model.teacher.encoder(images)
    for place, row in enumerate(rows):
        assert torch.equal(row["features"], expected[place])
    assert [row["case"] for row in rows] == ["a", "b", "c"]
    assert [int(row["label"]) for row in rows] == [2, 0, 1]
    assert model.patch_features(images).shape == (IMAGES, 16, 16)


def test_looking_at_the_health_moves_no_center(batch):
    model = build().train()
    model(**batch, mode="loss")
    before = copy.deepcopy(model.state_dict())
    shown = model.health(**batch)
    assert shown["features"].shape == (IMAGES, 16)
    torch.testing.assert_close(shown["teacher_probs"].sum(dim=1), torch.ones(IMAGES))
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_half_precision_gives_nearly_the_same(batch):
    exact = build().train()(**batch, mode="loss")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = build().train()(**batch, mode="loss")
    for name, value in exact.items():
        assert half[name].dtype == torch.float32
        torch.testing.assert_close(half[name], value, rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"losses": []}, "model.losses: there is no loss"),
        ({"losses": [{"type": "DinoLoss"}], "patch_head": HEAD}, "model.patch_head: no loss uses"),
    ],
)
def test_what_cannot_be_built_is_told(changes, told):
    with pytest.raises(ConfigError, match=told):
        build(**changes)


def test_what_a_batch_lacks_is_told(batch):
    with pytest.raises(ConfigError, match=r"collate_fn\.masking: a loss of masked patches needs"):
        build()(**without_masks(batch), mode="loss")
    with pytest.raises(ConfigError, match="compares 2 tiles or more, a batch has 1"):
        build(("DinoLoss", "KoLeoLoss"))(
            global_crops=batch["global_crops"][:, :1],
            local_crops=batch["local_crops"][:, :1],
            mode="loss",
        )
    with pytest.raises(ConfigError, match="got 1 global crops"):
        build(("DinoLoss",))(
            global_crops=batch["global_crops"][:1], local_crops=batch["local_crops"], mode="loss"
        )
    with pytest.raises(ConfigError, match="a batch without images"):
        build()(mode="predict")


def test_too_few_rows_for_sinkhorn_are_told_once(batch, caplog):
    model = build(targets={"type": "SinkhornKnopp"}).train()
    with caplog.at_level(logging.WARNING):
        model(**batch, mode="loss")
        model(**batch, mode="loss")
    assert caplog.text.count("Sinkhorn shares 6 rows among 24 prototypes") == 1


class TestSelfDistillation(TileObjectiveContract):
    config = {
        "type": "SelfDistillation",
        "encoder": CONTRACT_ENCODER,
        "head": dict(HEAD),
        "patch_head": dict(HEAD, prototypes=12),
        "losses": [{"type": "DinoLoss"}, {"type": "IbotLoss"}, {"type": "KoLeoLoss"}],
        "data_preprocessor": PREPROCESSOR,
    }
    changes = {
        "custom_hooks": [
            {"type": "ObjectiveScheduleHook", "key": "momentum", "base": 0.9, "final": 1.0},
            {
                "type": "ObjectiveScheduleHook", "key": "teacher_temperature", "base": 0.07,
                "warmup_epochs": 1, "warmup_start": 0.04,
            },
            *MONITORS,
            {"type": "ViewPictureHook"},
            {"type": "FeaturePictureHook", "tiles": 2},
        ],
    }  # fmt: skip
    summable = {
        "model.losses": [{"type": "DinoLoss"}, {"type": "IbotLoss"}],
        "model.targets": {"type": "SinkhornKnopp"},
        "train_dataloader.collate_fn.masking": {"type": "BlockMasks", "per_image": True},
    }

    @pytest.fixture(scope="class")
    @classmethod
    def drawn(cls, one_tile):
        # centers move from step to step, and a single tile has no neighbour
        parts = ("model.losses", "model.targets")
        alone = {"train_dataloader.batch_size": 1}
        return {**one_tile, **alone, **{part: cls.summable[part] for part in parts}}
