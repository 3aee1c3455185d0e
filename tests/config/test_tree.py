"""A config as a tree of components."""

from __future__ import annotations

from gigakit.config import component_tree, load_config


def test_components_are_nested_and_told_by_kind_and_origin(recipe):
    nodes = {node.key: node for node in component_tree(load_config(recipe))}
    encoder = nodes["model"].children[0]
    assert (encoder.key, encoder.type, encoder.kind) == ("encoder", "LongNet", "backbone")
    assert encoder.origin == "recipe.py:5"
    attention = encoder.children[0]
    assert (attention.type, attention.children) == ("DilatedAttention", ())
    assert attention.summary.startswith("LongNet's dilated attention")


def test_places_without_a_type_lead_to_components(recipe):
    nodes = {node.key: node for node in component_tree(load_config(recipe))}
    loader = nodes["train_dataloader"]
    assert (loader.type, loader.kind) == (None, None)
    assert [child.key for child in loader.children] == ["sampler", "dataset"]
    assert nodes["custom_hooks"].children[0].key == "0"
    # named by its place alone
    assert nodes["optim_wrapper"].type == "OptimWrapper"
    assert nodes["train_cfg"].type == "IterBasedTrainLoop"
    assert not {"cohort", "sample"} & nodes.keys()


def test_an_override_is_the_origin_and_an_unknown_type_has_no_kind(recipe):
    loaded = load_config(recipe, ["model.encoder.attention=dict(type='Unheard')"])
    encoder = {node.key: node for node in component_tree(loaded)}["model"].children[0]
    attention = encoder.children[0]
    assert (attention.type, attention.kind, attention.summary) == ("Unheard", None, "")
    assert attention.origin.startswith("--set model.encoder.attention=")
