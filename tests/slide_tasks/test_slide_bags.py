"""Labelled bags: which slides, which labels, which tiles in which order."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError, StoreError
from gigakit.registry import DATASETS, FUNCTIONS
from gigakit.wsi.features import read_features


def build(cohort, **changes):
    features, table = cohort
    config = {"root": str(features), "labels": str(table), "columns": ["label"]}
    return DATASETS.build({"type": "SlideBags", **config, **changes})


def rewrite(cohort, folder, change):
    """Return the cohort with another table, whose rows ``change`` has changed."""
    with cohort[1].open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    rows = change(rows) or rows
    table = folder / "changed.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return cohort[0], table


def test_an_item_is_the_slide_as_stored(cohort):
    dataset = build(cohort, split="val")
    assert len(dataset) == 4
    item = dataset[1]
    stored = read_features(cohort[0] / f"{item['slide_id']}.h5")
    assert item["slide_id"] == "slide07"
    assert item["patient_id"] == "patient03"
    assert np.array_equal(item["features"], stored.features)
    assert np.array_equal(item["grid"], stored.grid)
    assert item["label"].dtype == torch.int64
    assert dataset.data.task.classes[item["label"]] == "tumour"
    assert dataset.lengths[1] == len(stored.features)
    assert dataset.metainfo == {
        "kind": "classification", "labels": ["label"], "classes": ["benign", "tumour"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "kind", "shape"),
    [
        (["a", "b"], "multi_label", (2,)),
        (["burden"], "regression", (1,)),
        (["time", "event"], "survival", (2,)),
    ],
)
def test_other_labels_are_numbers_and_may_be_unknown(cohort, columns, kind, shape):
    dataset = build(cohort, columns=columns, kind=kind)
    items = [dataset[i] for i in range(len(dataset))]
    assert {(item["label"].dtype, item["label"].shape) for item in items} == {
        (torch.float32, torch.Size(shape))
    }
    unknown = torch.stack([item["label"] for item in items]).isnan().sum(dim=0).tolist()
    assert unknown == ([0, 4] if kind == "multi_label" else [0] * shape[0])


def test_slides_kept_in_memory_are_the_same_and_read_once(cohort, monkeypatch):
    plain, kept = build(cohort), build(cohort, keep_in_memory=True)
    reads = []
    monkeypatch.setattr(
        kept.folder, "read", lambda path: reads.append(path) or plain.folder.read(path)
    )
    for _ in range(2):
        assert torch.equal(kept[3]["features"], plain[3]["features"])
    assert len(reads) == 1


def test_tiles_are_shuffled_in_training_alone(cohort):
    plain, shuffled = build(cohort, split="train"), build(cohort, split="train", shuffle_tiles=True)
    stored, one, same, other = plain[2, 5], shuffled[2, 5], shuffled[2, 5], shuffled[2, 17]
    assert torch.equal(one["features"], same["features"])
    assert not torch.equal(one["features"], other["features"])
    order = torch.cdist(one["features"], stored["features"]).argmin(dim=1)
    assert sorted(order.tolist()) == list(range(len(order)))
    assert torch.equal(one["grid"], stored["grid"][order])
    evaluated = build(cohort, split="test", shuffle_tiles=True)
    assert torch.equal(evaluated[0]["features"], build(cohort, split="test")[0]["features"])


def test_shuffled_evaluation_has_a_name_and_is_the_same_each_time(cohort):
    dataset = build(cohort, split="test", shuffle_tiles_in_evaluation=True)
    plain = build(cohort, split="test")
    assert torch.equal(dataset[1, 3]["features"], dataset[1, 99]["features"])
    assert not torch.equal(dataset[1]["features"], plain[1]["features"])


def test_long_slides_give_some_of_their_tiles_in_order(cohort):
    dataset, whole = build(cohort, split="test", max_tiles=5), build(cohort, split="test")
    assert max(dataset.lengths) == 5
    for i in range(len(dataset)):
        few, all_ = dataset[i]["features"], whole[i]["features"]
        places = torch.cdist(few, all_).argmin(dim=1)
        assert len(few) == min(5, len(all_))
        assert (places.diff() > 0).all()


def test_the_largest_slide_of_each_patient(cohort):
    whole, largest = build(cohort), build(cohort, slides_of_a_patient="largest")
    assert len(set(largest.data.patients)) == len(largest) == 10
    for patient, tiles in zip(largest.data.patients, largest.lengths, strict=True):
        own = [n for p, n in zip(whole.data.patients, whole.lengths, strict=True) if p == patient]
        assert tiles == max(own)


def test_another_table_may_hold_the_splits(cohort, tmp_path):
    def folds(rows):
        return [
            {"slide_id": r["slide_id"], "fold0": "test" if int(r["slide_id"][5:]) < 6 else ""}
            for r in rows
        ]

    _, splits = rewrite(cohort, tmp_path, folds)
    dataset = build(cohort, splits=str(splits), split_column="fold0", split="test")
    assert list(dataset.data.slides) == [f"slide{n:02d}" for n in range(6)]


def leak(rows):
    rows[1]["split"] = "test"


def misname(rows):
    rows[1]["split"] = "tune"


def drop_validation(rows):
    return [row for row in rows if row["split"] != "val"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (leak, "patient00"),
        (misname, "tune"),
        (drop_validation, "no slide is in split 'val'"),
    ],
)
def test_splits_that_are_refused(cohort, tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        build(rewrite(cohort, tmp_path, change), split="val")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"root": None}, "root"),
        ({"columns": []}, "columns"),
        ({"slides_of_a_patient": "first"}, "all or largest"),
        ({"max_tiles": 0}, "max_tiles"),
        ({"columns": ["grade", "label"], "kind": "classification"}, "name 1"),
    ],
)
def test_what_it_refuses(cohort, changes, message):
    with pytest.raises(ConfigError, match=message):
        build(cohort, **changes)


def test_a_slide_without_features_is_named(cohort, tmp_path):
    def add(rows):
        rows[0]["slide_id"] = "nowhere"

    with pytest.raises(StoreError, match=r"nowhere\.h5"):
        build(rewrite(cohort, tmp_path, add))


def test_a_batch_is_padded_and_keeps_labels_and_names(cohort):
    dataset = build(cohort, split="val")
    items = [dataset[i] for i in range(3)]
    batch = FUNCTIONS.get("pad_bags")(items)
    longest = max(len(item["features"]) for item in items)
    assert batch["features"].shape == (3, longest, 8)
    lengths = (~batch["padding_mask"]).sum(dim=1).tolist()
    assert lengths == [len(item["features"]) for item in items]
    assert batch["label"].tolist() == [int(item["label"]) for item in items]
    assert batch["patient_id"] == [item["patient_id"] for item in items]
