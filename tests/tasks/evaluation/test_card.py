"""Cards: the numbers of folds and rounds, what is written and read again, paired comparisons."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest
from sklearn import metrics
from tasks.evaluation.cohort import cohort
from tasks.evaluation.folds import cohorts, evaluation
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gigakit.core.errors import ConfigError
from gigakit.tasks.evaluation.card import as_json, make_card
from gigakit.tasks.evaluation.card_files import read_evaluation, write_card
from gigakit.tasks.evaluation.comparison import compare
from gigakit.tasks.evaluation.evaluation import (
    Evaluation,
    FoldResult,
    drawn_scores,
    fold_scores,
    scores_with_intervals,
    whole_scores,
)
from gigakit.tasks.evaluation.predictions import (
    by_patient,
    joined,
    read_predictions,
    write_predictions,
)


def test_a_round_is_scored_together_and_by_patient():
    found = evaluation()
    every = by_patient(joined([fold.predictions for fold in found.folds]))
    assert len(every) == len(np.unique(every.patients)) == 60
    labels = every.targets[:, 0].astype(int)
    pooled = dataclasses.replace(found, areas="pooled")
    together = metrics.roc_auc_score(labels, every.outputs, multi_class="ovr")
    assert whole_scores(pooled)["macro AUROC"] == pytest.approx(together)
    apart = np.mean([fold["macro AUROC"] for fold in fold_scores(found)])
    assert whole_scores(found)["macro AUROC"] == pytest.approx(apart)
    for name in ("accuracy", "balanced accuracy", "Brier"):
        assert whole_scores(found)[name] == whole_scores(pooled)[name]
    first = found.folds[0].predictions
    own = first.outputs[first.patients == first.patients[0]].mean(axis=0)
    np.testing.assert_allclose(by_patient(first).outputs[0], own)
    slides = Evaluation("slides", found.folds, "slide")
    assert whole_scores(slides)["accuracy"] != whole_scores(found)["accuracy"]


def test_the_score_of_several_rounds_is_their_mean():
    found = evaluation(repeats=3)
    assert (found.rounds, len(found.folds)) == (3, 15)
    each = [
        whole_scores(Evaluation("one", tuple(f for f in found.folds if f.round == number)))
        for number in range(3)
    ]
    for name, value in whole_scores(found).items():
        assert value == pytest.approx(np.mean([one[name] for one in each]))
    # patients are drawn, each with all its rounds: more rounds do not make more patients
    one = scores_with_intervals(Evaluation("one", found.folds[:5]), draws=300)["macro AUROC"]
    three = scores_with_intervals(found, draws=300)["macro AUROC"]
    assert 0.5 < (three.high - three.low) / (one.high - one.low) < 1.3


def test_models_on_two_scales_lose_nothing_in_the_mean_over_folds():
    found = evaluation(cohort(classes=2), strength=2.0, folds=3)
    moved = []
    for number, fold in enumerate(found.folds):
        # the same order, but another scale in each fold
        odds = np.log(fold.predictions.outputs[:, 1] / fold.predictions.outputs[:, 0])
        positive = 1 / (1 + np.exp(-(odds + 4 * (number - 1))))
        outputs = np.stack([1 - positive, positive], axis=1)
        other = dataclasses.replace(fold.predictions, outputs=outputs)
        moved.append(dataclasses.replace(fold, predictions=other))
    shifted = dataclasses.replace(found, folds=tuple(moved), unit="slide")
    found = dataclasses.replace(found, unit="slide")
    assert whole_scores(shifted)["macro AUROC"] == whole_scores(found)["macro AUROC"]
    together = [
        whole_scores(dataclasses.replace(one, areas="pooled"))["macro AUROC"]
        for one in (found, shifted)
    ]
    assert together[1] < together[0] - 0.05


def test_draws_take_whole_patients(monkeypatch):
    found = evaluation()
    expected = drawn_scores(found, draws=40, seed=5)
    monkeypatch.setattr("gigakit.tasks.evaluation.evaluation._BLOCK", 300)
    again = drawn_scores(found, draws=40, seed=5)
    for name, values in expected.items():
        np.testing.assert_allclose(values, again[name], err_msg=name)
    every = found.whole_rounds()[0]
    names = found.patients
    drawn = np.random.default_rng(5).integers(len(names), size=len(names))
    rows = np.concatenate([np.flatnonzero(every.patients == names[i]) for i in drawn])
    assert expected["accuracy"][0] == pytest.approx(
        (every.outputs[rows].argmax(1) == every.targets[rows, 0]).mean()
    )


def test_risks_are_ranked_within_folds():
    found = evaluation(cohorts()["survival"])
    each = [fold["C-index"] for fold in fold_scores(found)]
    assert whole_scores(found)["C-index"] == pytest.approx(np.mean(each))
    # a fold's own scale does not matter
    moved = [
        FoldResult(f.name, f.round, f.predictions.__class__(**{
            **vars(f.predictions), "outputs": f.predictions.outputs * 3 + 100 * number
        }))
        for number, f in enumerate(found.folds)
    ]  # fmt: skip
    assert whole_scores(Evaluation("moved", tuple(moved))) == whole_scores(found)


@pytest.mark.parametrize("kind", ["classification", "multi_label", "regression", "survival"])
def test_a_card_is_written_and_read_again(kind, tmp_path):
    found = evaluation(cohorts()[kind])
    card = make_card(found, draws=50, notes=("a note",), facts={"seeds": "0 to 4"})
    write_card(tmp_path, card)
    told = json.loads((tmp_path / "card.json").read_text())
    for name, score in card.scores.items():
        entry = told["scores"][name]
        assert entry["value"] == pytest.approx(score.value)
        assert (entry["patients"], entry["slides"]) == (60, found.slides)
        assert "of 50 draws of whole test patients, seed 0" in entry["interval"]
    assert [fold["name"] for fold in told["folds"]] == [f"fold{i}" for i in range(5)]
    text = (tmp_path / "card.md").read_text()
    assert str(next(iter(card.scores.values()))) in text
    assert f"- of: 60 patients, {found.slides} slides, 5 folds, scored by patient" in text
    assert "- seeds: 0 to 4" in text
    assert "- note: a note" in text
    pictures = {path.stem for path in tmp_path.glob("*.png")}
    assert (
        pictures
        == {
            "classification": {"roc", "pr", "reliability", "confusion"},
            "multi_label": {"roc", "pr", "reliability"},
            "regression": {"scatter"},
            "survival": {"survival"},
        }[kind]
    )
    for name in pictures:
        assert f"({name}.png)" in text
        # not blank
        assert cv2.imread(str(tmp_path / f"{name}.png")).std() > 5
    again = read_evaluation(tmp_path / "card.json")
    assert again.name == "mine"
    for name, value in whole_scores(again).items():
        assert value == pytest.approx(whole_scores(found)[name], abs=1e-6)


def test_tensorboard_holds_one_card(tmp_path):
    found = evaluation()
    for _ in range(2):
        card = make_card(found, draws=20)
        write_card(tmp_path, card)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1
    (value,) = events.Scalars("card/macro_AUROC/value")
    assert value.value == pytest.approx(card.scores["macro AUROC"].value)
    assert [one.step for one in events.Scalars("folds/macro_AUROC")] == [0, 1, 2, 3, 4]
    assert set(events.Tags()["images"]) == {
        "card/roc", "card/pr", "card/reliability", "card/confusion"
    }  # fmt: skip


def test_a_rare_class_is_counted_not_hidden():
    data = cohort(patients=20, classes=2)
    rare = np.zeros((len(data.slides), 1))
    rare[np.isin(data.patients, ["p003", "p007"])] = 1
    data = data.__class__(data.slides, data.patients, rare, data.task)
    card = make_card(evaluation(data, folds=2), draws=200)
    missed = card.scores["macro AUROC"].undefined
    # a draw of twenty misses both with probability (18 / 20) ** 20 = 0.12
    assert 10 < missed < 45
    assert f"most often {'macro AUROC'}, in {missed}" in " ".join(card.notes)
    assert as_json(card)["scores"]["macro AUROC"]["undefined"] == missed


def test_a_paired_difference_is_narrower_and_signed():
    better, worse = evaluation(name="a", strength=2.0), evaluation(name="b", strength=1.2)
    found = compare(better, worse, draws=150)
    gap = found.differences["macro AUROC"].gap
    alone = scores_with_intervals(better, draws=150)["macro AUROC"]
    assert gap.value == pytest.approx(
        whole_scores(better)["macro AUROC"] - whole_scores(worse)["macro AUROC"]
    )
    assert gap.low < gap.value < gap.high
    assert found.differences["macro AUROC"].better > 0.95
    # lower is better there
    assert found.differences["Brier"].gap.value < 0
    assert found.differences["Brier"].better > 0.5
    same = compare(better, better, draws=50).differences["macro AUROC"]
    assert (same.gap.low, same.gap.high, same.better) == (0, 0, 0.5)
    correlated = compare(better, evaluation(name="c", strength=1.9), draws=150)
    narrow = correlated.differences["macro AUROC"].gap
    assert narrow.high - narrow.low < alone.high - alone.low


def test_what_cannot_be_compared_is_refused():
    one = evaluation(name="a")
    with pytest.raises(ConfigError, match="compare cards of one task"):
        compare(one, evaluation(cohorts()["regression"], name="b"))
    less = evaluation(name="b").within(one.patients[:40])
    found = compare(one, less, draws=20)
    assert found.patients == 40
    assert found.notes == ("20 patients of a are not in the other: left out",)
    assert any(
        "same folds" in note for note in compare(one, evaluation(name="c", folds=4), draws=9).notes
    )
    data = cohort()
    other = data.__class__(data.slides, data.patients, (data.targets + 1) % 3, data.task)
    with pytest.raises(ConfigError, match="the label of slide"):
        compare(one, evaluation(other, name="b"))


def test_predictions_are_read_as_they_were_written(tmp_path):
    for kind, data in cohorts().items():
        found = evaluation(data).folds[0].predictions
        write_predictions(tmp_path / f"{kind}.csv", found)
        again = read_predictions(tmp_path / f"{kind}.csv")
        assert again.task == found.task
        np.testing.assert_array_equal(again.targets, found.targets)
        np.testing.assert_allclose(again.outputs, found.outputs, rtol=1e-8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slide_id,patient_id,split,label_a,other\ns,p,test,x,1\n", "its columns are of no task"),
        ("slide_id,patient_id,split\n", "holds no predictions"),
        (
            "slide_id,patient_id,split,label_a,probability_x,probability_y\ns,p,test,z,1,0\n",
            r"predictions.csv:2: the label 'z' is none of the classes x, y",
        ),
        ("slide_id,patient_id,split,label_a,value\ns,p,test,1,nan\n", "not finite"),
    ],
)
def test_predictions_that_cannot_be_read(tmp_path, text, message):
    (tmp_path / "predictions.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_predictions(tmp_path / "predictions.csv")
    with pytest.raises(ConfigError, match="holds no card"):
        read_evaluation(tmp_path)


def test_slides_of_one_patient_with_two_labels_need_another_unit():
    found = evaluation().folds[0].predictions
    targets = found.targets.copy()
    several = next(p for p in np.unique(found.patients) if (found.patients == p).sum() > 1)
    targets[np.flatnonzero(found.patients == several)[0]] += 1
    with pytest.raises(ConfigError, match=f"patient {several} have different labels.*--unit slide"):
        by_patient(found.__class__(**{**vars(found), "targets": targets}))
