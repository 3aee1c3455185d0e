"""Splits: whole patients, alike in their classes, the same by seed, refused when they leak."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tasks.evaluation.cohort import cohort, write_table

from gigakit.core.errors import ConfigError
from gigakit.data.slide_labels import Task, read_slide_labels
from gigakit.tasks.evaluation.few_shot import few_shot
from gigakit.tasks.evaluation.split_files import read_splits, write_splits
from gigakit.tasks.evaluation.splits import (
    Split,
    check_splits,
    cross_validation,
    random_splits,
    rounds_of,
)


def parts_of(data, split):
    """Return the patients of each part."""
    return {part: set(data.patients[split.rows(part)]) for part in ("train", "val", "test")}


@pytest.mark.parametrize("repeats", [1, 2])
def test_every_patient_is_tested_once_a_repeat_and_never_learnt_from(repeats):
    data = cohort()
    splits = cross_validation(data, 5, repeats=repeats, seed=3)
    assert len(splits) == len({split.name for split in splits}) == 5 * repeats
    tested = [patient for split in splits for patient in parts_of(data, split)["test"]]
    assert sorted(tested) == sorted([*np.unique(data.patients)] * repeats)
    for split in splits:
        train, val, test = parts_of(data, split).values()
        assert not train & val
        assert not (train | val) & test
        assert len(train | val | test) == 60
        # 12 to test, 6 to validate, each class a third of them
        assert (len(train), len(val), len(test)) == (42, 6, 12)
        for part, expected in (("train", 14), ("val", 2), ("test", 4)):
            rows = split.rows(part)
            for label in range(3):
                own = rows[data.targets[rows, 0] == label]
                assert len(np.unique(data.patients[own])) == expected
    assert check_splits(data, splits) == []
    assert rounds_of(data, splits) == [r for r in range(repeats) for _ in range(5)]


def test_the_seed_alone_decides():
    data = cohort()
    one, again, other = (cross_validation(data, 5, seed=seed) for seed in (1, 1, 2))
    assert all((a.parts == b.parts).all() for a, b in zip(one, again, strict=True))
    assert any((a.parts != b.parts).any() for a, b in zip(one, other, strict=True))


def test_random_splits_have_the_papers_shares():
    data = cohort(patients=100, classes=2)
    splits = random_splits(data, 10)
    for split in splits:
        assert [len(found) for found in parts_of(data, split).values()] == [70, 10, 20]
    assert rounds_of(data, splits) == list(range(10))
    assert len({tuple(split.parts) for split in splits}) == 10
    with pytest.raises(ConfigError, match="no parts of a whole"):
        random_splits(data, 2, fractions=(0.7, 0.2, 0.2))


def test_censored_values_and_patterns_are_spread_evenly():
    generator = np.random.default_rng(0)
    event = (np.arange(80) % 4 == 0).astype(float)
    times = np.stack([generator.exponential(10, 80), event], axis=1)
    data = cohort(80, targets=times, task=Task("survival", ("days", "death")))
    for split in cross_validation(data, 5):
        first = np.unique(data.patients[split.rows("test")], return_index=True)[1]
        # a quarter of sixteen
        assert 3 <= data.targets[split.rows("test")][first, 1].sum() <= 5
    rare = np.stack([np.arange(80) < 10, np.arange(80) % 2 == 0], axis=1).astype(float)
    data = cohort(80, targets=rare, task=Task("multi_label", ("rare", "half")))
    for split in cross_validation(data, 5):
        first = np.unique(data.patients[split.rows("test")], return_index=True)[1]
        assert data.targets[split.rows("test")][first, 0].sum() == 2


def test_too_few_patients_are_one_clear_line():
    data = cohort(patients=30, classes=3)
    few = data.select(np.flatnonzero(~np.isin(data.patients, np.unique(
        data.patients[data.targets[:, 0] == 1])[:6])))  # fmt: skip
    with pytest.raises(ConfigError, match=r"class 'b' has 4 patients, too few for 5 folds; at mos"):
        cross_validation(few, 5)
    with pytest.raises(ConfigError, match="30 patients cannot be split 40-fold"):
        cross_validation(data, 40)
    split = random_splits(data, 1)[0]
    without = dataclasses.replace(
        split, parts=np.where((data.targets[:, 0] == 1) & (split.parts == "train"), "", split.parts)
    )
    with pytest.raises(ConfigError, match="draw0 has no slide of class 'b' to train on"):
        check_splits(data, [without])
    without = dataclasses.replace(
        split, parts=np.where((data.targets[:, 0] == 1) & (split.parts == "val"), "", split.parts)
    )
    assert check_splits(data, [without]) == ["draw0 has no val slide of class b"]


def test_a_leak_names_its_patients():
    data = cohort(patients=20, classes=2)
    (split, *_) = cross_validation(data, 4)
    several = next(p for p in np.unique(data.patients) if (data.patients == p).sum() > 1)
    parts = split.parts.copy()
    own = np.flatnonzero(data.patients == several)
    parts[own[0]], parts[own[1:]] = "test", "train"
    with pytest.raises(ConfigError, match=rf"fold0 leaks patients: {several} \(the first is in tr"):
        check_splits(data, [Split("fold0", parts)])


def test_split_files_return_what_was_written(tmp_path):
    data = cohort()
    splits = cross_validation(data, 3)
    write_splits(tmp_path / "splits.csv", data, splits)
    again, notes = read_splits(tmp_path / "splits.csv", data)
    assert notes == []
    assert [split.name for split in again] == ["fold0", "fold1", "fold2"]
    assert all((a.parts == b.parts).all() for a, b in zip(splits, again, strict=True))


def test_split_files_made_elsewhere(tmp_path):
    data = cohort(patients=12, classes=2)
    patients = np.unique(data.patients)
    lines = ["case_id,fold_0,fold_1"] + [
        f"{p},{'test' if i % 4 == 0 else 'train'},{'test' if i % 4 == 1 else 'train'}"
        for i, p in enumerate(patients[:-1])
    ]
    (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n")
    splits, notes = read_splits(tmp_path / "cases.csv", data, val=0.2)
    assert "in no split of cases.csv" in notes[0]
    assert "fold_0, fold_1 of cases.csv have no val: 20% of the patients" in notes[1]
    assert [len(found) for found in parts_of(data, splits[0]).values()] == [6, 2, 3]
    check_splits(data, splits)

    folder = tmp_path / "clam"
    folder.mkdir()
    named = data.slides.tolist()
    (folder / "splits_0.csv").write_text(
        f",train,val,test\n0,{named[0]},{named[1]},{named[2]}\n1,{named[3]},,other\n"
    )
    (only,), notes = read_splits(folder, data)
    assert only.name == "fold0"
    assert only.parts[:4].tolist() == ["train", "val", "test", "train"]
    assert notes == [f"{len(named) - 4} labelled slides are in no split of clam"]

    (tmp_path / "odd.csv").write_text(f"slide_id,split\n{named[0]},dev\n")
    with pytest.raises(ConfigError, match=r"odd.csv:2: the split is 'dev'"):
        read_splits(tmp_path / "odd.csv", data)
    (tmp_path / "odd.csv").write_text("slide_id,split\nunknown,train\n")
    with pytest.raises(ConfigError, match="knows none of the labelled slides"):
        read_splits(tmp_path / "odd.csv", data)


def test_few_shots_cut_training_and_validation_alone():
    data = cohort(patients=60)
    full = cross_validation(data, 3)
    cut = few_shot(data, full, 2, draws=4)
    assert len(cut) == 12
    assert rounds_of(data, cut) != [0] * 12
    drawn = set()
    for number, split in enumerate(cut):
        assert (split.rows("test") == full[number // 4].rows("test")).all()
        for part in ("train", "val"):
            rows = split.rows(part)
            assert set(rows) <= set(full[number // 4].rows(part))
            for label in range(3):
                own = rows[data.targets[rows, 0] == label]
                assert len(np.unique(data.patients[own])) == 2
        drawn.add(tuple(split.parts))
    assert len(drawn) == 12
    with pytest.raises(ConfigError, match=r"training patients of class 'a' for 30 shots"):
        few_shot(data, full, 30)


def test_tables_are_read_as_their_values_tell(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(
        "slide_id,patient_id,isup,gene,age,days,death\n"
        "a,p1,0,1,60.5,100,1\nb,p1,10,,61,20,0\nc,p2,2,0,,30,1\nd,p3,,0,70,5,0\n"
    )
    grade = read_slide_labels(table, ["isup"])
    # as numbers: 10 after 2
    assert grade.task == Task("classification", ("isup",), ("0", "2", "10"))
    assert grade.targets[:, 0].tolist() == [0, 2, 1]
    assert grade.notes == ("1 slides without a label are left out",)
    assert read_slide_labels(table, ["age"]).task.kind == "regression"
    several = read_slide_labels(table, ["gene", "death"])
    assert several.task.kind == "multi_label"
    assert np.isnan(several.targets[1, 0])
    survival = read_slide_labels(table, ["days", "death"], kind="survival")
    assert survival.targets.tolist() == [[100, 1], [20, 0], [30, 1], [5, 0]]
    assert "no column case" in read_slide_labels(table, ["age"], patient="case").notes[1]


@pytest.mark.parametrize(
    ("labels", "kind", "message"),
    [
        (["grade"], None, "has no column 'grade'"),
        (["isup", "age"], "survival", "survival needs 0 or 1 in age"),
        (["isup"], "survival", "1 label columns for survival; name 2"),
        (["same"], None, "all slides have the same 'x'"),
        (["word"], "regression", "the label 'many' is no number"),
        (["isup"], "ordinal", "there is no kind of task 'ordinal'"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, labels, kind, message):
    table = tmp_path / "labels.csv"
    table.write_text("slide_id,patient_id,isup,age,same,word\na,1,1,3.5,x,2\nb,2,2,4,x,many\n")
    with pytest.raises(ConfigError, match=message):
        read_slide_labels(table, labels, kind=kind)
    table.write_text("slide_id,patient_id,isup\na,1,1\na,2,2\n")
    with pytest.raises(ConfigError, match="names the slide a twice"):
        read_slide_labels(table, ["isup"])


def test_what_is_written_is_read(tmp_path):
    data = cohort()
    again = read_slide_labels(write_table(tmp_path / "labels.csv", data), ["grade"])
    assert again.task == data.task
    np.testing.assert_array_equal(again.targets, data.targets)
    np.testing.assert_array_equal(again.patients, data.patients)
