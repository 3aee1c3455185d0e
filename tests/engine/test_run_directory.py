"""Which folder a run may write to."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gigakit.core.errors import WorkDirError
from gigakit.engine.run_directory import prepare_work_dir


def used(folder):
    folder.mkdir(parents=True)
    (folder / "config.py").write_text("model = 1")
    (folder / "checkpoints").mkdir()
    return folder


def test_default_is_the_next_free_number(tmp_path):
    assert prepare_work_dir(tmp_path, "slide") == tmp_path / "slide" / "1"
    used(tmp_path / "slide" / "7")
    assert prepare_work_dir(tmp_path, "slide") == tmp_path / "slide" / "8"
    assert prepare_work_dir(tmp_path, "tile") == tmp_path / "tile" / "1"


def test_runs_that_start_at_once_get_different_folders(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: prepare_work_dir(tmp_path, "slide"), range(24)))
    assert len(set(found)) == 24


def test_a_folder_in_use_is_refused_with_both_ways_out(tmp_path):
    folder = used(tmp_path / "mine")
    with pytest.raises(WorkDirError, match=r"--resume.*--overwrite"):
        prepare_work_dir(tmp_path, "slide", explicit=folder)
    assert (folder / "config.py").exists()


def test_resume_keeps_and_overwrite_empties(tmp_path):
    folder = used(tmp_path / "mine")
    (folder / "run.json").write_text("{}")
    assert prepare_work_dir(tmp_path, "slide", explicit=folder, resume=True) == folder
    assert (folder / "config.py").exists()
    assert prepare_work_dir(tmp_path, "slide", explicit=folder, overwrite=True) == folder
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_overwrite_never_empties_a_folder_that_is_no_run(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(WorkDirError, match="not a run's"):
        prepare_work_dir(tmp_path, "slide", explicit=tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def test_resume_without_a_folder_takes_the_newest(tmp_path):
    with pytest.raises(WorkDirError, match="no run to resume"):
        prepare_work_dir(tmp_path, "slide", resume=True)
    used(tmp_path / "slide" / "9")
    used(tmp_path / "slide" / "10")
    assert prepare_work_dir(tmp_path, "slide", resume=True) == tmp_path / "slide" / "10"


@pytest.mark.parametrize("flags", [{"resume": True, "overwrite": True}, {"overwrite": True}])
def test_flags_that_make_no_sense_are_refused(tmp_path, flags):
    with pytest.raises(WorkDirError, match="--overwrite"):
        prepare_work_dir(tmp_path, "slide", **flags)


def test_a_file_is_no_work_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkDirError, match="is a file"):
        prepare_work_dir(tmp_path, "slide", explicit=tmp_path / "file")
