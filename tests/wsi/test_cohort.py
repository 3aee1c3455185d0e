"""Manifests, folders and single slides."""

from __future__ import annotations

import pytest

from gigakit.core.errors import ConfigError
from gigakit.wsi.cohort import read_cohort


def write(path, text, encoding="utf-8"):
    path.write_text(text, encoding=encoding, newline="")
    return path


def test_a_manifest_with_labels_mark_and_windows_line_ends(tmp_path):
    text = "slide_id,path,mpp,grade\r\na,x/a.svs,0.25,3\r\n,b.tif,,\r\n"
    cohort = read_cohort(write(tmp_path / "slides.csv", text, "utf-8-sig"), mpp=0.5)
    first, second = cohort.slides
    assert cohort.name == "slides"
    assert (first.slide_id, first.path, first.mpp) == ("a", tmp_path / "x/a.svs", 0.25)
    assert first.extra == {"grade": "3"}
    assert (second.slide_id, second.mpp) == ("b", 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\na.svs\n", "has no column 'path', only file"),
        ("path\n", "holds no slides"),
        ("", "has no column 'path', only nothing"),
        ("path,mpp\na.svs,x\n", "slides.csv:2: mpp is 'x'"),
        ("path\na.svs\nb/a.svs\n", "slides.csv:3: slide_id 'a' is also that of .*slides.csv:2"),
        ("slide_id,path\n../a,a.svs\n", "cannot name a file"),
        ("slide_id,path\n.hidden,a.svs\n", "cannot name a file"),
        ("slide_id,path\na,\n", "slides.csv:2: the path is empty"),
        ("path,mpp\na.svs,0\n", r"slides.csv:2: its resolution is 0 µm/px"),
        ("path,mpp\na.svs,nan\n", r"slides.csv:2: its resolution is nan µm/px"),
        ("path,grade\na.svs,1\nb.svs,1,2\n", "slides.csv:3: 3 fields for 2 columns"),
        ("path,grade\na.svs\n", "slides.csv:2: 1 fields for 2 columns"),
        ("path,path\na,b\n", "names a column twice"),
        ("path;mpp\na.svs;1\n", "has no column 'path', only path;mpp.*commas"),
        ("slide_id,path\n" + "組" * 80 + ",a.svs\n", "cannot name a file"),
    ],
)
def test_unusable_manifests_are_told_by_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_cohort(write(tmp_path / "slides.csv", text))


def test_a_folder_holds_its_slides_in_order(tmp_path):
    for name in ("b.svs", "a.TIFF", "notes.txt", "c.dcm"):
        (tmp_path / name).touch()
    assert [row.slide_id for row in read_cohort(tmp_path).slides] == ["a", "b", "c"]


def test_an_empty_folder_and_a_missing_manifest_are_told(tmp_path):
    with pytest.raises(ConfigError, match="holds no slides"):
        read_cohort(tmp_path)
    with pytest.raises(ConfigError, match="no such manifest"):
        read_cohort(tmp_path / "none.csv")


def test_one_slide_is_a_cohort(tmp_path):
    cohort = read_cohort(tmp_path / "x.1.svs", mpp=0.3)
    assert (cohort.name, cohort.slides[0].slide_id, cohort.slides[0].mpp) == ("x.1", "x.1", 0.3)


def test_a_manifest_in_another_encoding_is_told(tmp_path):
    path = write(tmp_path / "slides.csv", "path,place\na.svs,Orléans\n", "latin-1")
    with pytest.raises(ConfigError, match=r"slides\.csv: is no table in UTF-8"):
        read_cohort(path)


def test_blank_lines_and_blanks_around_names_do_not_matter(tmp_path):
    text = "path, mpp\n\na.svs,0.25\n\n"
    (row,) = read_cohort(write(tmp_path / "slides.csv", text)).slides
    assert (row.mpp, row.extra) == (0.25, {})


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan"), 499.0])
def test_an_impossible_resolution_is_refused_before_any_slide_is_opened(tmp_path, mpp):
    with pytest.raises(ConfigError, match="--mpp: its resolution is"):
        read_cohort(tmp_path / "a.svs", mpp=mpp)


def test_the_files_of_a_dicom_series_are_one_slide(shared):
    rows = read_cohort(shared / "data" / "odd" / "dicom_boxes").slides
    assert [row.slide_id for row in rows] == ["boxes_0"]


def test_dicom_files_that_do_not_open_stay_for_their_own_error(tmp_path):
    for name in ("a.dcm", "b.dcm"):
        (tmp_path / name).write_bytes(b"no dicom")
    assert len(read_cohort(tmp_path).slides) == 2
