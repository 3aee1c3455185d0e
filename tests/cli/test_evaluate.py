"""``gigakit evaluate`` and ``gigakit compare``: cards from features and a table, and errors."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from tasks.evaluation.cohort import cohort, write_table
from tasks.evaluation.real import write_features

from gigakit.wsi.slide_embeddings import write_slide_embeddings


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a folder with features of tiles that tell the class, embeddings, and a table."""
    root = tmp_path_factory.mktemp("project")
    data = cohort(patients=30, classes=3)
    generator = np.random.default_rng(0)
    centres = 0.8 * generator.normal(size=(3, 6))
    (root / "tiles").mkdir()
    (root / "slides").mkdir()
    for slide, target in zip(data.slides, data.targets[:, 0].astype(int), strict=True):
        own = centres[target] + generator.normal(size=6)
        write_features(root / "tiles" / f"{slide}.h5", own + 0.3 * generator.normal(size=(9, 6)))
        layers = generator.normal(size=(4, 6))
        layers[2] += own
        arrays = {"cls": layers, "mean": layers, "last_cls": layers[3], "last_mean": layers[3]}
        write_slide_embeddings(root / "slides" / f"{slide}.h5", arrays, {"slide_id": str(slide)})
    extra = {"age": 50 + 5 * data.targets[:, 0] + generator.normal(size=len(data.slides))}
    write_table(root / "labels.csv", data, extra)
    return root


@pytest.fixture
def evaluate(call, project, monkeypatch):
    monkeypatch.chdir(project)

    def run(*arguments, features="tiles", label="grade"):
        return call(
            "evaluate", *arguments, "--features", features, "--labels", "labels.csv",
            "--label", label, "--draws", "100",
        )  # fmt: skip

    return run


def test_from_features_and_a_table_to_a_card_and_a_comparison(evaluate, call, project):
    code, out, told = evaluate("linear", "--folds", "3", "--out", "linear")
    assert code == 0
    assert "30 patients, 62 slides; 3-fold cross-validation by patient" in told
    assert "macro AUROC" in out
    card = json.loads((project / "linear" / "card.json").read_text())
    assert card["scores"]["macro AUROC"]["value"] > 0.8
    assert card["protocol"].startswith("3-fold cross-validation by patient, stratified")
    assert card["folds"][0]["inverse_regularisation"] > 0
    assert (project / "linear" / "folds" / "fold2" / "predictions.csv").is_file()
    code, _, _ = evaluate(
        "neighbours", "--splits", "linear/splits.csv", "--settings", "3", "--out", "neighbours"
    )
    assert code == 0
    assert (project / "neighbours" / "splits.csv").read_text() == (
        project / "linear" / "splits.csv"
    ).read_text()
    code, out, _ = call("compare", "linear", "neighbours/card.json", "--json", "--out", "compared")
    assert code == 0
    (found,) = json.loads(out)["comparisons"]
    assert found["notes"] == []
    gap = found["scores"]["macro AUROC"]
    assert gap["difference"]["value"] == pytest.approx(gap["first"] - gap["second"])
    assert (
        "linear on mean of tile embeddings against"
        in (project / "compared" / "compare.md").read_text()
    )
    # the same card twice is told apart by its folder
    _, out, _ = call("compare", "linear", "linear", "--json")
    assert "(linear)" in json.loads(out)["comparisons"][0]["first"]


def test_validation_chooses_the_layer(evaluate, project):
    code, _, _ = evaluate(
        "linear", "--folds", "3", "--layers", "1,2,3,1+2", "--settings", "0.1", "--val", "0.25",
        "--out", "layers", features="slides",
    )  # fmt: skip
    assert code == 0
    card = json.loads((project / "layers" / "card.json").read_text())
    assert {fold["vectors"] for fold in card["folds"]} <= {"layer 2", "layer 1+2"}
    assert card["vectors"] == "slide embedding cls, layer 1, layer 2, layer 3, layer 1+2"
    code, _, told = evaluate("linear", "--layers", "9", "--folds", "3", features="slides")
    assert code == 2
    assert "there is no layer '9'; numbers from 0 to 3" in told


def test_few_shots_make_a_table(evaluate, project):
    code, out, _ = evaluate(
        "prototypes", "--folds", "3", "--shots", "1,4", "--shot-draws", "2", "--out", "shots"
    )
    assert code == 0
    assert "patients a class" in out
    scores = [
        json.loads((project / "shots" / f"shots-{k}" / "card.json").read_text()) for k in (1, 4)
    ]
    for shots, found in zip((1, 4), scores, strict=True):
        assert len(found["folds"]) == 6
        assert all(fold["train_patients"] == 3 * shots for fold in found["folds"])
        assert found["scores"]["macro AUROC"]["value"] > 0.8
    assert (project / "shots" / "shots.png").stat().st_size > 5000


def test_a_value_is_predicted_too(evaluate, project):
    code, _, told = evaluate(
        "linear", "--folds", "3", "--out", "age", "--unit", "slide", label="age"
    )
    assert code == 0
    assert "age: regression" in told
    card = json.loads((project / "age" / "card.json").read_text())
    assert card["scores"]["Pearson"]["value"] > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("linear", "--folds", "40"), "30 patients cannot be split 40-fold"),
        (("linear", "--folds", "12"), "class 'a' has 10 patients, too few for 12 folds"),
        (("linear", "--fractions", "70/30"), "three parts: 70/10/20"),
        (("linear", "--fractions", "70/10/20", "--splits", "x.csv"), "exclude each other"),
        (("linear", "--splits", "absent.csv"), "absent.csv: no such table"),
        (("linear", "--unit", "case"), "choose patient or slide"),
        (("linear", "--set", "a=1"), "linear is a probe and has no config"),
        (("linear", "--settings", "strong"), "'strong' are no numbers"),
        (("linear", "--pool", "median"), "there is no pooling 'median'"),
        (
            ("linear", "--shots", "50", "--folds", "3"),
            "patients of class 'a' for 50 shots",
        ),
        (("liner",), "no such recipe"),
        (("gigapath_slide",), "is no recipe of a slide-level task"),
    ],
)
def test_errors_are_one_line(evaluate, tmp_path, arguments, message):
    code, _, told = evaluate(*arguments, "--out", str(tmp_path / "out"))
    assert code == 2
    assert message in told
    assert told.splitlines()[-1].startswith("error: ")


def test_leaks_and_missing_features_are_refused(evaluate, project, tmp_path):
    text = (project / "labels.csv").read_text().splitlines()
    owners = [line.split(",")[1] for line in text[1:]]
    several = next(owner for owner in owners if owners.count(owner) > 1)
    rows = [
        f"{line.split(',')[0]},{('train', 'val', 'test')[i % 3]}" for i, line in enumerate(text[1:])
    ]
    (tmp_path / "leaky.csv").write_text("\n".join(["slide_id,split", *rows]) + "\n")
    code, _, told = evaluate("linear", "--splits", str(tmp_path / "leaky.csv"))
    assert code == 2
    assert f"split leaks patients: {several}" in told
    (tmp_path / "few").mkdir()
    for path in sorted((project / "tiles").glob("*.h5"))[4:]:
        (tmp_path / "few" / path.name).symlink_to(path)
    some = ("linear", "--folds", "3", "--out", str(tmp_path / "out"))
    code, _, told = evaluate(*some, features=str(tmp_path / "few"))
    assert code == 1
    assert "4 of 62 labelled slides have no features: slide000, slide001, slide002 ..." in told
    code, _, told = evaluate(*some, "--allow-missing", features=str(tmp_path / "few"))
    assert code == 0
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert any("4 of 62 labelled slides" in note for note in card["notes"])
    splits = (tmp_path / "out" / "splits.csv").read_text().splitlines()
    assert len(splits) == 63
    assert splits[1].endswith(",,,")


def test_an_out_folder_of_other_splits_is_kept(evaluate, project):
    evaluate("prototypes", "--folds", "3", "--out", "kept")
    before = (project / "kept" / "splits.csv").read_text()
    code, _, told = evaluate("prototypes", "--folds", "4", "--out", "kept")
    assert code == 2
    assert "holds an evaluation of other splits; name another --out" in told
    assert (project / "kept" / "splits.csv").read_text() == before


def test_cards_that_are_none_are_refused(call, tmp_path):
    code, _, told = call("compare", str(tmp_path), str(tmp_path))
    assert code == 2
    assert "holds no card; make it with gigakit evaluate" in told
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["features"] = np.zeros((0, 3))
        file["coords"] = np.zeros((0, 2))
    (tmp_path / "labels.csv").write_text("slide_id,patient_id,y\na,1,x\n")
    code, _, told = call(
        "evaluate", "linear", "--features", str(tmp_path), "--labels", str(tmp_path / "labels.csv"),
        "--label", "y",
    )  # fmt: skip
    assert code == 2
    assert "all slides have the y 'x'" in told


def test_a_recipe_is_trained_and_tested_in_a_run_of_its_own(evaluate, project, tmp_path):
    rows = (project / "labels.csv").read_text().splitlines()[1:]
    patients = sorted({row.split(",")[1] for row in rows})
    parts = {patient: ("train", "val", "test")[i % 3] for i, patient in enumerate(patients)}
    lines = ["patient_id,split", *(f"{patient},{part}" for patient, part in parts.items())]
    (tmp_path / "splits.csv").write_text("\n".join(lines) + "\n")
    asked = (
        "tasks/abmil", "--splits", str(tmp_path / "splits.csv"), "--set", "train_cfg.epochs=1",
        "--set", "model.aggregator.widths=[8]", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    code, _, told = evaluate(*asked)
    assert code == 0, told
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    tested = [row for row in rows if parts[row.split(",")[1]] == "test"]
    assert card["scores"]["macro AUROC"]["slides"] == len(tested)
    assert card["scores"]["macro AUROC"]["patients"] == 10
    assert card["folds"][0]["steps"] == sum(parts[row.split(",")[1]] == "train" for row in rows)
    code, _, told = evaluate(*asked)
    assert code == 0
    assert "1 of 1 runs: finished before, skipped" in told
