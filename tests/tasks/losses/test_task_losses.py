"""Losses of slide-level tasks, against their formulas written as loops."""

from __future__ import annotations

import math

import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES

GENERATOR = torch.Generator().manual_seed(0)


def build(name, **arguments):
    return LOSSES.build({"type": name, **arguments})


def test_classes_count_by_their_weights():
    outputs, label = torch.randn(5, 3, generator=GENERATOR), torch.tensor([0, 2, 1, 1, 0])
    weights = [0.5, 2.0, 1.0]
    found = build("ClassificationLoss", class_weights=weights)(outputs, label)
    total = sum(
        weights[y] * (math.log(sum(math.exp(o) for o in row)) - row[y])
        for row, y in zip(outputs.tolist(), label.tolist(), strict=True)
    )
    assert found.item() == pytest.approx(total / sum(weights[y] for y in label.tolist()), rel=1e-5)


def test_probabilities_of_classes_sum_to_one():
    told = build("ClassificationLoss").predictions(torch.randn(4, 3))
    assert list(told) == ["probability"]
    assert told["probability"].sum(dim=1) == pytest.approx([1.0] * 4)


def test_unknown_labels_neither_count_nor_have_a_gradient():
    outputs = torch.randn(3, 2, generator=GENERATOR, requires_grad=True)
    label = torch.tensor([[1.0, math.nan], [0.0, 1.0], [math.nan, math.nan]])
    found = build("MultiLabelLoss", positive_weights=[3.0, 1.0])(outputs, label)

    def log_sigmoid(x):
        return -math.log1p(math.exp(-x))

    x = outputs.tolist()
    total = -(3.0 * log_sigmoid(x[0][0]) + log_sigmoid(-x[1][0]) + log_sigmoid(x[1][1]))
    assert found.item() == pytest.approx(total / 3, rel=1e-5)
    found.backward()
    assert (outputs.grad[label.isnan()] == 0).all()
    assert (outputs.grad[~label.isnan()] != 0).all()


def test_a_batch_of_unknown_labels_is_harmless():
    outputs = torch.randn(2, 2, requires_grad=True)
    loss = build("MultiLabelLoss")(outputs, torch.full((2, 2), math.nan))
    loss.backward()
    assert loss.item() == 0.0
    assert outputs.grad.abs().sum() == 0


def test_a_value_is_learnt_in_deviations_and_told_in_its_unit():
    loss = build("RegressionLoss", mean=10.0, deviation=4.0)
    outputs = torch.tensor([[0.5], [-1.0]])
    assert loss.predictions(outputs)["value"].tolist() == [[12.0], [6.0]]
    assert loss(outputs, torch.tensor([[12.0], [10.0]])).item() == pytest.approx(0.5)


def cox(risk, time, event, *, efron):
    """Return the negative log partial likelihood per event, by its definition."""
    total, events = 0.0, 0
    for moment in sorted(set(time)):
        tied = [i for i, t in enumerate(time) if t == moment and event[i]]
        at_risk = sum(math.exp(r) for r, t in zip(risk, time, strict=True) if t >= moment)
        of_tied = sum(math.exp(risk[i]) for i in tied)
        for number, i in enumerate(tied):
            part = number / len(tied) * of_tied if efron else 0.0
            total += math.log(at_risk - part) - risk[i]
            events += 1
    return total / events


@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_cox_is_its_definition_with_ties_and_censoring(ties):
    risk = torch.randn(9, 1, generator=GENERATOR, requires_grad=True)
    time = [3.0, 1.0, 3.0, 2.0, 3.0, 5.0, 2.0, 2.0, 4.0]
    event = [1, 1, 1, 0, 1, 0, 1, 1, 1]
    label = torch.tensor([time, event]).T.float()
    found = build("SurvivalLoss", ties=ties)(risk, label)
    expected = cox(risk[:, 0].tolist(), time, event, efron=ties == "efron")
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert risk.grad.isfinite().all()
    # a constant added to all risks changes nothing
    assert risk.grad.sum().item() == pytest.approx(0.0, abs=1e-6)


def test_cox_without_an_event_has_no_gradient_and_large_risks_no_overflow():
    risk = torch.tensor([[500.0], [-500.0]], requires_grad=True)
    loss = build("SurvivalLoss")(risk, torch.tensor([[1.0, 0.0], [2.0, 0.0]]))
    loss.backward()
    assert loss.item() == 0.0
    assert risk.grad.abs().sum() == 0
    assert build("SurvivalLoss")(risk, torch.tensor([[2.0, 1.0], [1.0, 1.0]])).isfinite()


def test_a_memory_puts_slides_seen_before_into_the_risk_set():
    loss = build("SurvivalLoss", memory=2).train()
    risks, labels = [0.3, -0.2, 1.1, 0.4], [[2.0, 1.0], [5.0, 0.0], [1.0, 1.0], [3.0, 1.0]]
    found = [
        loss(torch.tensor([[r]]), torch.tensor([y])).item()
        for r, y in zip(risks, labels, strict=True)
    ]
    for step in range(4):
        inside = range(max(0, step - 2), step + 1)
        if any(labels[i][1] for i in inside):
            expected = cox(
                [risks[i] for i in inside],
                [labels[i][0] for i in inside],
                [labels[i][1] for i in inside],
                efron=True,
            )
            assert found[step] == pytest.approx(expected, abs=1e-6)
    # a resumed run goes on with it
    assert loss.state_dict()["recent"].shape == (2, 3)
    before = loss.recent.clone()
    loss.eval()(torch.tensor([[0.0]]), torch.tensor([[1.0, 1.0]]))
    assert torch.equal(loss.recent, before)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ClassificationLoss", {"class_weights": "balanced"}),
        ("ClassificationLoss", {"class_weights": [1.0, 0.0]}),
        ("ClassificationLoss", {"label_smoothing": 1.0}),
        ("MultiLabelLoss", {"positive_weights": [-1.0]}),
        ("RegressionLoss", {"deviation": 0.0}),
        ("SurvivalLoss", {"ties": "exact"}),
        ("SurvivalLoss", {"memory": -1}),
    ],
)
def test_what_they_refuse(name, arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        build(name, **arguments)


def test_a_batch_of_one_has_no_risk_set():
    with pytest.raises(ConfigError, match="risk set"):
        build("SurvivalLoss")(torch.zeros(1, 1), torch.tensor([[1.0, 1.0]]))
