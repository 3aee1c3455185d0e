"""The size of a model without its data."""

from __future__ import annotations

import copy

from gigakit.config import load_checked
from gigakit.registry import OBJECTIVES
from gigakit.tasks.model_size import model_size


def test_it_is_that_of_the_model_that_is_built():
    values = load_checked("tiny/slide").values
    width = values["preparation"]["encoder"]["width"]
    built = OBJECTIVES.build({**copy.deepcopy(values["model"]), "input_dim": width})
    count = sum(p.numel() for p in built.parameters())
    assert model_size(values) == (count, count)
    # nothing of the values is changed
    assert "input_dim" not in values["model"]


def test_a_teacher_is_not_trained():
    trained, every = model_size(load_checked("tiny/tile").values)
    assert every == 2 * trained


def test_a_width_that_only_the_data_tell_leaves_it_open():
    values = load_checked("tiny/slide", ["preparation=null"]).values
    assert model_size(values) is None
