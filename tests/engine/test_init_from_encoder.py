"""Pretraining that starts from a published encoder's file."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gigakit.core.errors import CheckpointError
from gigakit.engine.init_from import init_from
from gigakit.nn.backbones.vit import VisionTransformer


def backbone(**changes):
    settings = {"image_size": 32, "patch_size": 8, "width": 24, "depth": 2, "heads": 2}
    return VisionTransformer(**{**settings, **changes})


class Pair(nn.Module):
    """A student and a teacher of one encoder and one head each."""

    def __init__(self):
        super().__init__()
        self.student, self.teacher = (
            nn.ModuleDict({"backbone": backbone(maskable=True), "head": nn.Linear(24, 5)})
            for _ in range(2)
        )

    def encoder_parts(self):
        return ("student.backbone", "teacher.backbone")


def values(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_both_encoders_are_filled_and_what_is_not_is_told(tmp_path):
    published, model = backbone(image_size=48), Pair()
    before = values(model)
    state = {f"backbone.{name}": value for name, value in published.state_dict().items()}
    torch.save({"teacher": {**state, "head.weight": torch.zeros(5, 24)}}, tmp_path / "w.pth")
    report = init_from(model, tmp_path / "w.pth")
    assert str(report) == (
        "60 tensors matched, 6 missing, 1 unexpected, 0 of another shape; "
        "an encoder for student.backbone and teacher.backbone; "
        "positions resized from 6 x 6 to 4 x 4; at initial values: "
        "student.backbone.mask_token, student.head (2), "
        "teacher.backbone.mask_token, teacher.head (2)"
    )
    after = values(model)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert not changed & set(report.missing)
    assert {*report.matched, *report.missing} == set(after)
    for part in ("student", "teacher"):
        for name, value in published.state_dict().items():
            if name != "pos_embed":
                assert torch.equal(after[f"{part}.backbone.{name}"], value), name


def test_another_architecture_changes_nothing(tmp_path):
    model = Pair()
    before = values(model)
    save_file(backbone(depth=3).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="no start for this encoder: 12 unexpected"):
        init_from(model, tmp_path / "w.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in values(model).items())


def test_a_run_of_a_student_and_a_teacher_is_taken_whole(tmp_path):
    source, model = Pair(), Pair()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    assert init_from(model, tmp_path / "w.safetensors").fraction == 1.0
    assert all(
        torch.equal(value, source.state_dict()[name]) for name, value in values(model).items()
    )
