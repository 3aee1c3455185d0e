"""The original iBOT and DINO as compositions of SelfDistillation, against formulas by loops."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
import torch

from gigakit.config import load_config
from gigakit.core.errors import ConfigError
from gigakit.engine.run_data import OWN_KEYS, fill_in, prepare
from gigakit.engine.train import train
from gigakit.registry import MASKINGS, OBJECTIVES

IMAGES, CROPS, PATCHES = 3, 2, 16
ENCODER = {
    "type": "VisionTransformer", "image_size": 32, "patch_size": 8, "width": 16, "depth": 2,
    "heads": 2,
}  # fmt: skip
HEAD = {
    "type": "DinoHead", "prototypes": 24, "hidden": 20, "bottleneck": 8,
    "last_layer": "weight_norm_frozen",
}  # fmt: skip
MASKING = {
    "type": "BlockMasks", "per_image": True, "probability": 0.5, "ratio": [0.1, 0.5],
    "min_patches": 1,
}  # fmt: skip
LOSSES = ("DinoLoss", "IbotLoss")


def build(losses=LOSSES, head=HEAD, **changes):
    torch.manual_seed(0)
    config = {
        "type": "SelfDistillation",
        "encoder": dict(ENCODER),
        "head": dict(head),
        "losses": [{"type": loss} for loss in losses],
        "patch_population": "all",
        "teacher_temperature": 0.04,
        "patch_teacher_temperature": 0.06,
        **changes,
    }
    return OBJECTIVES.build(config).train()


def batches(count, local=2):
    generator = torch.Generator().manual_seed(1)
    masking = MASKINGS.build(MASKING)
    for number in range(count):
        masks = torch.from_numpy(masking.draw(6, 4, 4, np.random.default_rng(number + 3)))
        assert masks.any()
        weights = (1 / masks.sum(dim=1, keepdim=True).clamp(min=1)).expand_as(masks)
        yield {
            "global_crops": torch.randn(CROPS, IMAGES, 3, 32, 32, generator=generator),
            "local_crops": torch.randn(local, IMAGES, 3, 16, 16, generator=generator),
            "masks": masks,
            "mask_indices": masks.flatten().nonzero().flatten(),
            "mask_weights": weights[masks],
        }


def entropy(target, logits):
    return -(target * (logits / 0.1).log_softmax(dim=-1)).sum()


class Naive:
    """iBOT by its formulas: one crop of one image at a time, dense patches."""

    def __init__(self, model):
        self.student, self.teacher = model.student, model.teacher
        self.centers = [torch.zeros(1), torch.zeros(1)]

    def loss(self, batch):
        crops, masks = batch["global_crops"], batch["masks"].unflatten(0, (CROPS, IMAGES))
        with torch.no_grad():
            told = [
                [self.see(self.teacher, crops[v, b]) for b in range(IMAGES)] for v in range(CROPS)
            ]
        seen = [
            [self.see(self.student, crops[v, b], masks[v, b]) for b in range(IMAGES)]
            for v in range(CROPS)
        ]
        seen += [[self.see(self.student, crop) for crop in view] for view in batch["local_crops"]]
        by_class, pairs, by_patch = 0.0, 0, 0.0
        for v in range(CROPS):
            for w in range(len(seen)):
                if v != w:
                    pairs += 1
                    for b in range(IMAGES):
                        target = ((told[v][b][0] - self.centers[0]) / 0.04).softmax(dim=-1)
                        by_class += entropy(target, seen[w][b][0]) / IMAGES
            for b in range(IMAGES):
                target = ((told[v][b][1] - self.centers[1]) / 0.06).softmax(dim=-1)
                hidden = masks[v, b].nonzero().flatten().tolist()
                each = [entropy(target[p], seen[v][b][1][p]) for p in hidden]
                by_patch += sum(each) / max(len(hidden), 1) / IMAGES / CROPS
        for part, means in enumerate(
            (
                torch.stack([told[v][b][0] for v in range(CROPS) for b in range(IMAGES)]),
                torch.cat([told[v][b][1] for v in range(CROPS) for b in range(IMAGES)]),
            )
        ):
            self.centers[part] = 0.9 * self.centers[part] + 0.1 * means.mean(dim=0)
        return by_class / pairs, by_patch

    def see(self, network, crop, mask=None):
        tokens = network.encoder.forward_views([crop[None]], [None if mask is None else mask[None]])
        return network.head(tokens[0].cls)[0], network.head(tokens[0].patches[0], patches=True)


@pytest.mark.parametrize("patch_prototypes", [None, 12], ids=["shared", "split"])
def test_whole_steps_are_those_of_the_formulas(patch_prototypes):
    model = build(head={**HEAD, "patch_prototypes": patch_prototypes})
    naive = Naive(copy.deepcopy(model))
    for batch in batches(3):
        found = model(**batch, mode="loss")
        by_class, by_patch = naive.loss(batch)
        total = found["loss_dino_local"] + found["loss_dino_global"]
        torch.testing.assert_close(total, by_class, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found["loss_ibot"], by_patch, rtol=1e-5, atol=1e-6)
        for network, loss in (
            (model.student, sum(found.values())),
            (naive.student, by_class + by_patch),
        ):
            network.zero_grad()
            loss.backward()
        for mine, theirs in zip(
            model.student.parameters(), naive.student.parameters(), strict=True
        ):
            if not mine.requires_grad:
                continue
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-6)
            with torch.no_grad():
                mine -= 0.1 * mine.grad
                theirs.copy_(mine)
        model.follow_student()
        naive.teacher.load_state_dict(model.teacher.state_dict())
    for part, center in zip(("cls", "patches"), naive.centers, strict=True):
        torch.testing.assert_close(model.targets[part].center, center, rtol=1e-5, atol=1e-6)


def test_the_population_decides_where_the_center_of_patches_goes():
    (batch,) = batches(1)
    every, masked = build(), build(patch_population="masked")
    for model in (every, masked):
        model(**batch, mode="loss")
    teacher = every.teacher
    patches = teacher.encoder.forward_views([batch["global_crops"].flatten(0, 1)])[0].patches
    logits = teacher.head(patches).detach()
    for model, rows in ((every, logits.flatten(0, 1)), (masked, logits[batch["masks"]])):
        torch.testing.assert_close(model.targets["patches"].center, 0.1 * rows.mean(dim=0))


def test_dino_alone_has_no_masks_and_no_patches():
    (batch,) = batches(1)
    model = build(("DinoLoss",), patch_population="masked")
    found = model(global_crops=batch["global_crops"], local_crops=batch["local_crops"], mode="loss")
    naive = Naive(build(("DinoLoss",), patch_population="masked"))
    expected, _ = naive.loss({**batch, "masks": torch.zeros_like(batch["masks"])})
    torch.testing.assert_close(sum(found.values()), expected, rtol=1e-5, atol=1e-6)
    assert set(model.targets) == {"cls"}


def test_targets_without_a_center_follow_no_population():
    with pytest.raises(ConfigError, match="SinkhornKnopp follows no population"):
        build(targets={"type": "SinkhornKnopp"})
    with pytest.raises(ConfigError, match="unknown patch_population 'some'"):
        build(patch_population="some")


@pytest.fixture
def recipe(tmp_path):
    """The recipe, with an encoder and crops that take no time, on noise."""
    folder = tmp_path / "tiles"
    folder.mkdir()
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (80, 80, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), noise)
    values = load_config("ibot_tile").values
    values |= {"cohort": None, "tiles": str(folder)}
    values["model"]["encoder"] |= {"image_size": 64, "width": 32, "depth": 2, "heads": 2}
    values["model"]["head"] |= {"prototypes": 32, "hidden": 32, "bottleneck": 16}
    loader = values["train_dataloader"]
    loader["batch_size"] = 2
    loader["collate_fn"]["masking"]["min_patches"] = 1
    loader["dataset"]["views"] |= {"global_px": 64, "local_px": 32, "local_count": 2}
    values["train_cfg"] |= {"epochs": 2, "steps_per_epoch": 1}
    values["log_interval"] = 1
    values["custom_hooks"][2] |= {"warmup_epochs": 2, "epochs": 2}
    values["custom_hooks"] = values["custom_hooks"][:3]
    values["param_scheduler"][0]["warmup_epochs"] = 0
    fill_in(values, prepare(values, print))
    return {key: value for key, value in values.items() if key not in OWN_KEYS}


def test_the_recipe_trains_and_its_last_layer_waits_an_epoch(recipe, tmp_path):
    results = {}
    for epochs in (1, 2):
        values = copy.deepcopy(recipe)
        values["train_cfg"]["max_steps"] = epochs
        work_dir = tmp_path / str(epochs)
        assert train(values, work_dir=work_dir).skipped_steps == 0
        (path,) = (work_dir / "checkpoints").glob("*.pth")
        results[epochs] = torch.load(path, weights_only=True)["state_dict"]
    last, first = "student.head.last_layer.weight_v", "student.head.mlp.0.weight"
    # the teacher is the student's start, nearly: its momentum is 0.996
    gap = {n: (results[n][last] - results[n][last.replace("student", "teacher")]) for n in results}
    assert not gap[1].any()
    assert gap[2].any()
    assert not torch.equal(results[1][first], results[2][first])
