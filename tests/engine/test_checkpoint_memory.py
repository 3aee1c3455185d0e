"""Host memory that a save and a load need, for a checkpoint of 312 MB."""

import json
import shutil
import sys

import pytest
from resuming import big
from resuming.processes import CONTEXT


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_save_and_load_hold_one_copy_at_most(tmp_path):
    process = CONTEXT.Process(target=big.main, args=(tmp_path,))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    size = (tmp_path / "run" / "checkpoints" / "step-00000001.pth").stat().st_size
    assert size > 300e6
    shutil.rmtree(tmp_path / "run")
    saved, loaded = (json.loads((tmp_path / f"{step}.json").read_text()) for step in (1, 2))
    # beside the state itself; the bound of the whole is 1.3 times the checkpoint
    assert saved["save"] < 0.1 * size
    assert loaded["load"] < 1.1 * size
