"""The table of bad input names every case once, and only tests that exist."""

from __future__ import annotations

import re
import time

import pytest
from bad_input.cases import CASES

from gigakit.wsi.cohort import read_cohort

ROW = re.compile(r"^\| (\d+) \|.*\| (.*) \|$", re.MULTILINE)
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


@pytest.fixture(scope="module")
def page(repository):
    return (repository / "docs" / "bad_input.md").read_text(encoding="utf-8")


def test_all_sixty_cases_are_there_with_a_test_each(page):
    rows = ROW.findall(page)
    assert [int(number) for number, _ in rows] == list(range(1, 61))
    for number, tests in rows:
        assert tests.startswith("row `") or TEST.search(tests), number


def test_every_test_that_is_named_exists(page, repository):
    found = TEST.findall(page)
    assert len(found) > 30
    for file, name in found:
        text = (repository / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{file}::{name}"


def test_every_file_is_named_in_the_row_of_its_case(page):
    rows = dict(ROW.findall(page))
    for name, case in CASES.items():
        assert f"`{name}`" in rows[str(case.number)], name
    named = {
        name
        for tests in rows.values()
        if tests.startswith("row ")
        for name in re.findall(r"`([^`]+)`", tests)
        if "::" not in name
    }
    assert named == set(CASES)


def seconds_a_row(path, rows):
    path.write_text("path,mpp\n" + "".join(f"s{row}.svs,0.25\n" for row in range(rows)))
    begin = time.process_time()
    assert len(read_cohort(path).slides) == rows
    return (time.process_time() - begin) / rows


def test_a_long_manifest_costs_no_more_a_row(tmp_path):
    path = tmp_path / "slides.csv"
    short = min(seconds_a_row(path, 2_000) for _ in range(3))
    # quadratic work would cost thirty times as much a row
    assert seconds_a_row(path, 60_000) < 8 * short
