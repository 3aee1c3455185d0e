"""What came of an ablation: states, comparisons, table, files."""

from __future__ import annotations

import csv
import json
import re
import shutil
from xml.etree import ElementTree

import pytest

from gigakit.ablation.comparison import compare
from gigakit.ablation.figures import svg_panels
from gigakit.ablation.panels import pareto_front
from gigakit.ablation.remarks import notes_about, warnings_of
from gigakit.ablation.report import results, write_report
from gigakit.ablation.stored_plan import note_command, read_plan, stored_command
from gigakit.ablation.tables import header, screen_rows, table_rows
from gigakit.core.errors import ConfigError


def warned(comparison):
    return "\n".join(warnings_of(comparison))


def test_the_table_has_quality_cost_spread_and_references(plan, finish):
    for number, run in enumerate(plan.runs[:4]):
        finish(plan, run, 0.1 * number)
    comparison = compare(plan)
    assert header(comparison)[:6] == (
        "cell", "n", "R²", "cosine", "Δ R², bootstrap 95 %", "t 95 %",
    )  # fmt: skip
    rows = table_rows(comparison)
    assert rows[0][:3] == ("attention=dilated,mask_ratio=0.5", "2", "0.0500 ± 0.0707")
    assert rows[0][4:6] == ("baseline", "")
    assert rows[1][4:6] == ("+0.2000 (n = 2 too small)", "")
    assert rows[0][6:] == (
        "0.5000 ± 0.0000", "0.00 M", "20", "2", "0.2", "8", "100",
    )  # fmt: skip
    assert rows[2][:3] == ("attention=flash,mask_ratio=0.5", "0 of 2 (2 not run)", "–")
    assert rows[-1][0] == "reference: nearest visible tile"
    assert rows[-1][2] == "0.2000"
    assert "2 seeds are too few" in warned(comparison)


def test_of_three_seeds_both_intervals_are_told(three_seeds, finish):
    values = [0.1, 0.2, 0.4, 0.3, 0.2, 0.5]
    for run, value in zip(three_seeds.runs, values, strict=True):
        finish(three_seeds, run, value)
    comparison = compare(three_seeds)
    row = table_rows(comparison)[1]
    assert row[4] == "+0.1000 [+0.0000, +0.2000]"
    assert row[5] == "[-0.1484, +0.3484]"
    assert screen_rows(comparison)[1][4] == "+0.1000\n[+0.0000, +0.2000]"
    assert "believe the t interval" in "\n".join(notes_about(comparison))
    reversed_ = compare(three_seeds, baseline="attention=flash")
    assert table_rows(reversed_)[0][4] == "-0.1000 [-0.2000, +0.0000]"
    assert compare(three_seeds, metric="cosine").metric.name == "reconstruction/cosine"


def test_what_is_not_there_is_told(plan, finish):
    finish(plan, plan.runs[0], 0.1)
    with pytest.raises(ConfigError, match="no cell"):
        compare(plan, baseline="x")
    with pytest.raises(ConfigError, match=r"no run reports 'x'.*reconstruction/cosine"):
        compare(plan, metric="x")


def test_the_columns_are_what_the_runs_measured(plan, finish):
    for number, run in enumerate(plan.runs[:4]):
        linear = {"probe/linear_balanced_accuracy": 0.9} if number > 1 else {}
        metrics = {"probe/knn_balanced_accuracy": 0.1 * number, "probe/knn_accuracy": 0.5}
        finish(plan, run, 0.0, metrics=metrics | linear)
    comparison = compare(plan)
    assert header(comparison)[:4] == ("cell", "n", "k-NN", "linear")
    assert [row[2:4] for row in table_rows(comparison)] == [
        ("0.0500 ± 0.0707", "–"), ("0.2500 ± 0.0707", "0.9000 ± 0.0000"), ("–", "–"), ("–", "–"),
    ]  # fmt: skip
    assert "balanced accuracies of frozen embeddings" in "\n".join(notes_about(comparison))


def test_metrics_that_nobody_knew_get_a_column(plan, finish):
    finish(plan, plan.runs[0], 0.0, metrics={"slide/auroc": 0.75, "slide/error": 0.1})
    comparison = compare(plan, metric="error")
    assert header(comparison)[2:4] == ("slide/auroc", "slide/error")
    assert not comparison.metric.higher_is_better
    assert compare(plan).metric.higher_is_better


def test_without_a_measure_the_loss_is_shown_and_told_apart(plan, finish):
    for run in plan.runs:
        finish(plan, run, 0.0, metrics={})
    comparison = compare(plan)
    assert header(comparison)[:3] == ("cell", "n", "Δ last loss, bootstrap 95 %")
    rows = table_rows(comparison)
    assert rows[1][2] == "not comparable: another objective"
    assert rows[2][2] == "+0.0000 (n = 2 too small)"
    assert "labelled tiles give a probe" in "\n".join(notes_about(comparison))


def test_what_makes_cells_unequal_is_told(plan, finish):
    finish(plan, plan.runs[0], 0.1, notes=("shared", "own"))
    finish(plan, plan.runs[2], 0.2, steps=30, parameters=2000, notes=("shared",))
    comparison = compare(plan)
    assert "Cells differ in parameters: 1,000 to 2,000." in warned(comparison)
    assert "budgets are not equal (20, 30)" in warned(comparison)
    notes = notes_about(comparison)
    assert "All cells: shared." in notes
    assert "attention=dilated,mask_ratio=0.5: own." in notes
    assert "attention=dilated,mask_ratio=0.5, seed 1: not run." in warned(comparison)


def test_budgets_that_differ_are_told_before_any_run(vary):
    text = warned(compare(vary(train_dataloader__batch_size=[2, 4])))
    assert "Cells differ in their budget, train_dataloader.batch_size: batch_size=4" in text


def test_cells_that_came_to_the_same_are_told(plan, finish):
    for run in plan.runs:
        finish(plan, run, 0.1 * run.seed, loss=0.5 if run.labels["attention"] == "flash" else 0.4)
    text = warned(compare(plan))
    assert (
        "attention=flash,mask_ratio=0.5 and attention=flash,mask_ratio=0.75 came to the same"
        in text
    )


def test_runs_that_are_not_done_are_told_with_their_reason(plan, finish, begin):
    for run in plan.runs[:2]:
        finish(plan, run, 0.1, status="failed", reason="out of memory")
    finish(plan, plan.runs[2], 0.1, status="interrupted", reason="SIGTERM", steps=7)
    begin(plan, plan.runs[3], steps=5)
    # an interrupted run that was taken up again has steps beyond its result
    finish(plan, plan.runs[4], 0.1, status="interrupted", reason="SIGTERM", steps=7)
    begin(plan, plan.runs[4], steps=9)
    finish(plan, plan.runs[5], 0.3)
    # one that was killed, as the ablation notes it: steps are not known
    begin(plan, plan.runs[7], steps=9)
    result = {"status": "failed", "reason": "killed by SIGKILL"}
    (plan.out / plan.runs[7].folder / "result.json").write_text(json.dumps(result))
    folder = plan.out / plan.runs[6].folder
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"digest": "other"}')
    comparison = compare(plan)
    cells = {cell.name: cell for cell in comparison.cells}
    assert [cell.status for cell in cells.values()] == [
        "2 failed", "1 interrupted, 1 unfinished", "1 unfinished, 1 done", "1 not run, 1 failed",
    ]  # fmt: skip
    text = warned(comparison)
    assert "attention=dilated,mask_ratio=0.5, seeds 0, 1: failed: out of memory." in text
    assert "seed 0: interrupted: SIGTERM." in text
    assert "seed 1: unfinished: no result after step 5" in text
    assert "seed 0: unfinished: no result after step 9" in text
    assert "seed 1: failed: killed by SIGKILL." in text
    assert "its folder holds a run of other settings" in text
    assert table_rows(comparison)[0][1] == "0 of 2 (2 failed)"
    # without a baseline there is no difference
    assert table_rows(comparison)[2][4] == "–"


def test_cells_with_missing_seeds_are_told_apart(plan, finish):
    for run in plan.runs[:3]:
        finish(plan, run, 0.1)
    assert "only Δ, which is over the same seeds" in warned(compare(plan))


def test_reconstruction_does_not_compare_over_other_embeddings(vary, finish):
    plan = vary(preparation__tiler__overlap=[0.0, 0.5], model__mask_ratio=[0.5, 0.75])
    for number, run in enumerate(plan.runs):
        finish(plan, run, 0.1 * number)
    comparison = compare(plan)
    rows = table_rows(comparison)
    assert rows[1][4] == "+0.2000 (n = 2 too small)"
    assert rows[2][2:5] == (
        "0.4500 ± 0.0707 †", "0.9000 ± 0.0000 †", "not comparable: predicts other embeddings",
    )  # fmt: skip
    assert "a task on slides for tilers and segmenters" in warned(comparison)
    assert len(comparison.comparable) == 2


def test_tile_encoders_are_compared_by_their_downstream_score(vary, finish):
    plan = vary(preparation__encoder__depth=[1, 2], preparation__tiler__overlap=[0.0, 0.5])
    for run in plan.runs:
        depth = int(run.labels["depth"])
        score = {"tile_encoder/linear_balanced_accuracy": 0.5 + 0.1 * depth}
        finish(plan, run, 0.1, downstream=score)
    comparison = compare(plan)
    assert comparison.metric.name == "tile_encoder/linear_balanced_accuracy"
    rows = table_rows(comparison)
    column = header(comparison).index("encoder linear")
    # the same whatever the seed: neither a deviation nor an interval
    assert [row[column] for row in rows[:4]] == ["0.6000", "0.6000", "0.7000", "0.7000"]
    assert rows[1][column + 1] == "not comparable: other tiles"
    assert rows[2][column + 1] == "+0.1000 (no interval)"
    same = compare(vary(model__mask_ratio=[0.5, 0.75]))
    assert same.metric.name != comparison.metric.name


def test_another_evaluator_does_not_compare(vary, finish):
    plan = vary(val_dataloader__dataset__masking__ratio=[0.5, 0.75])
    for run in plan.runs:
        finish(plan, run, 0.1)
    assert table_rows(compare(plan))[1][4] == "not comparable: scored by another evaluator"


def test_everything_is_written_and_again_from_the_folder_alone(plan, finish, tmp_path):
    for number, run in enumerate(plan.runs[:4]):
        finish(plan, run, 0.1 * number)
    command = ["gigakit", "ablate", "a b"]
    plan.write()
    note_command(plan.out, command)
    write_report(plan, command)
    names = {path.name for path in plan.out.iterdir() if path.is_file()}
    assert names == {
        "plan.json", "command.json", "table.md", "results.csv", "results.json", "curves.png",
        "quality_cost.png", "differences.png", "commands.sh", "index.html",
    }  # fmt: skip
    text = (plan.out / "table.md").read_text()
    assert "`gigakit ablate 'a b'`" in text
    with (plan.out / "results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8
    assert (rows[1]["reconstruction/r2"], rows[1]["seed"], rows[1]["status"]) == (
        "0.1",
        "1",
        "done",
    )
    differences = plan.out / "differences"
    assert len(list(differences.iterdir())) == 3
    told = (differences / "attention=flash,mask_ratio=0.5.txt").read_text()
    assert "model.encoder.attention.type: 'DilatedAttention' -> 'FullAttention'" in told
    assert "mask_ratio:" not in told
    before = {path.name: path.read_bytes() for path in plan.out.iterdir() if path.is_file()}
    moved = tmp_path / "moved"
    shutil.copytree(plan.out, moved)
    (moved / "differences" / "attention=gone.txt").touch()
    write_report(read_plan(moved), stored_command(moved))
    after = {path.name: path.read_bytes() for path in moved.iterdir() if path.is_file()}
    assert after == before
    assert len(list((moved / "differences").iterdir())) == 3
    write_report(read_plan(moved), [], baseline="attention=flash,mask_ratio=0.5")
    left = {path.name for path in (moved / "differences").iterdir()}
    assert "attention=flash,mask_ratio=0.5.txt" not in left
    assert len(left) == 3


def test_runs_are_repeated_by_commands_that_can_be_pasted(plan):
    write_report(plan, [])
    text = (plan.out / "commands.sh").read_text()
    runs = [line for line in text.splitlines() if line.startswith("gigakit train tiny/slide --set")]
    assert len(runs) == 8
    assert "--set randomness.seed=1 --work-dir attention=dilated,mask_ratio=0.5/seed1" in runs[1]
    assert "was not noted" in text


def test_results_hold_no_number_that_json_does_not_know(three_seeds, finish):
    for run in three_seeds.runs:
        finish(three_seeds, run, 0.1, loss=None)
    found = json.loads(json.dumps(results(compare(three_seeds), []), allow_nan=False))
    assert found["cells"][1]["difference"]["n"] == 3
    assert found["baseline"] == "attention=dilated"


def test_the_page_stands_alone_and_shows_every_cell(plan, finish):
    for run in plan.runs[:5]:
        finish(plan, run, 0.1)
    finish(plan, plan.runs[5], 0.1, status="failed", reason="<b>bad</b> & worse")
    write_report(plan, ["gigakit", "ablate"])
    page = (plan.out / "index.html").read_text(encoding="utf-8")
    # nothing is fetched; namespaces of SVG are no addresses
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert "default-src 'none'" in page
    assert "&lt;b&gt;bad&lt;/b&gt; &amp; worse" in page
    assert "<b>bad" not in page
    for cell in {run.cell for run in plan.runs}:
        assert page.count(cell) >= 3
    assert page.count("<svg") == 4
    ids = re.findall(r' id="([^"]+)"', page)
    clips = [name for name in ids if len(name) == 11 and name.startswith("p")]
    assert len(clips) == len(set(clips)) > 0


def test_pictures_follow_the_pages_colours_and_are_well_formed(plan, finish):
    for run in plan.runs:
        finish(plan, run, 0.1 * run.seed)
    panels = svg_panels(compare(plan))
    assert list(panels) == ["differences", "cost", "loss", "validation"]
    for text in panels.values():
        assert ElementTree.fromstring(text).get("viewBox")
        assert "currentColor" in text
        assert "<metadata" not in text


def test_an_ablation_without_any_run_has_a_report(plan):
    write_report(plan, [])
    page = (plan.out / "index.html").read_text(encoding="utf-8")
    assert "no finished run" in page
    assert "nothing logged yet" in page
    assert "seeds 0, 1: not run" in page


def test_the_front_is_what_nothing_beats_in_both():
    points = {"a": (1.0, 0.5), "b": (2.0, 0.4), "c": (3.0, 0.9), "d": (1.0, 0.3), "e": (4.0, 0.9)}
    assert pareto_front(points, higher_is_better=True) == ["a", "c"]
    assert pareto_front(points, higher_is_better=False) == ["d"]
