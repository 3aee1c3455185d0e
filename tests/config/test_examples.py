"""Where components are used, and that every example is a config without a problem."""

from __future__ import annotations

import pytest

from gigakit.config import check_config, load_config
from gigakit.config.examples import all_uses, example_config
from gigakit.core.catalogue import Catalogue
from gigakit.core.kinds import KINDS

CATALOGUE = Catalogue()
# no key of a config holds these: an executor is chosen at the command line
WITHOUT_A_PLACE = {"EXECUTORS", "WEIGHT_INITIALIZERS", "VISBACKENDS"}


@pytest.fixture(scope="module")
def uses():
    return all_uses()


@pytest.mark.parametrize("kind", KINDS)
def test_every_example_is_accepted(uses, tmp_path, kind):
    file = tmp_path / "example.py"
    for component in CATALOGUE.components(kind).values():
        text = example_config(component, uses, CATALOGUE)
        if kind in WITHOUT_A_PLACE:
            assert text is None
            continue
        assert component.name in text
        file.write_text(text, encoding="utf-8")
        assert [str(problem) for problem in check_config(load_config(file))] == []


def test_an_example_is_no_more_than_it_needs(uses):
    component = CATALOGUE.components("POSITIONS")["GridSinCos2d"]
    assert example_config(component, uses, CATALOGUE) == (
        "model = dict(\n"
        "    type='MaskedAutoencoder',\n"
        "    encoder=dict(type='LongNet', position=dict(type='GridSinCos2d')),\n"
        "    decoder=dict(type='MaskedDecoder'),\n"
        ")\n"
    )


def test_uses_tell_recipes_cells_and_where_they_stand(uses):
    local = [use for use in uses if use.value["type"] == "LocalAttention"]
    assert {use.key for use in local} == {"ablation.attention.cells.local"}
    assert {use.place for use in local} == {"model.encoder.attention"}
    assert not any(use.is_trained for use in local)
    crop = next(use for use in uses if use.value["type"] == "CropWindow" and use.is_trained)
    assert (crop.recipe, crop.key) == ("gigapath_slide", "train_dataloader.dataset.augmentations.0")
    assert ".py:" in crop.origin
