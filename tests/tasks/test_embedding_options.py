"""Options of embedding that must not change what comes out, or change just what they say."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from gigakit.core.errors import ConfigError
from gigakit.data.prefetch import Stopwatch, timed
from gigakit.registry import TASKS

from .test_tile_embedding import CONFIG, cohort, run  # noqa: F401 - a fixture


def stored(prepared):
    files = sorted(prepared.folder.rglob("*.h5"))
    with h5py.File(files[0]) as file:
        return files, file["features"][()], file["coords"][()]


def test_devices_work_side_by_side_and_give_the_same(cohort, tmp_path):  # noqa: F811
    one = stored(run(cohort, tmp_path / "one"))
    two = stored(run(cohort, tmp_path / "two", device="cpu,cpu"))
    np.testing.assert_array_equal(one[1], two[1])
    task = TASKS.build({**CONFIG, "device": "cpu,cpu:0"})
    assert [str(task.model.on_device(n).device) for n in range(3)] == ["cpu", "cpu:0", "cpu"]
    with pytest.raises(ConfigError, match="one kind"):
        TASKS.build({**CONFIG, "device": "cpu,meta"})


def test_batches_by_tokens_hold_as_many_tiles_as_fit(cohort, tmp_path):  # noqa: F811
    # images of 32 px in patches of 16: 4 patches and the class token
    for tokens, tiles in ((15, 3), (4, 1), (19, 3), (20, 4)):
        assert TASKS.build({**CONFIG, "batch_tokens": tokens}).model.tiles_a_pass == tiles
    plain = stored(run(cohort, tmp_path / "plain"))
    tokens = stored(run(cohort, tmp_path / "tokens", batch_tokens=10))
    np.testing.assert_allclose(tokens[1], plain[1], atol=2e-3)
    with pytest.raises(ConfigError, match="batch_tokens"):
        TASKS.build({**CONFIG, "batch_tokens": 0})


def test_subfolders_and_flat_files_are_not_made_twice(cohort, tmp_path):  # noqa: F811
    first, features, _ = stored(run(cohort, tmp_path, subfolders=True))
    assert first[0].parent.name in {f"{n:02x}" for n in range(256)}
    again, _, _ = stored(run(cohort, tmp_path))
    assert again == first
    # tiles of another version of the slide
    cohort.slides[0].path.touch()
    flat, anew, _ = stored(run(cohort, tmp_path))
    assert len(flat) == 1
    assert flat[0].parent.name != first[0].parent.name
    np.testing.assert_array_equal(anew, features)


def test_tiles_beyond_limits_are_not_embedded_and_tiling_is_not_done_again(cohort, tmp_path):  # noqa: F811
    quality = [{"type": "Saturation"}]
    every, features, coords = stored(run(cohort, tmp_path, quality=quality))
    (tiles,) = (tmp_path / "out/tiles").glob("*/a.h5")
    made = tiles.stat().st_mtime_ns
    with h5py.File(tiles) as file:
        saturation = file["quality/saturation"][()]
    most = float(np.sort(saturation)[2])
    limited = run(cohort, tmp_path, quality=quality, quality_limits={"saturation": [0, most]})
    _, some, places = stored(limited)
    kept = saturation <= most
    assert kept.sum() == 3
    np.testing.assert_array_equal(places, coords[kept])
    np.testing.assert_allclose(some, features[kept], atol=2e-3)
    assert tiles.stat().st_mtime_ns == made
    assert limited.folder != every[0].parent
    assert "quality_limits" in json.loads((limited.folder / "settings.json").read_text())


def test_limits_that_leave_nothing_say_so(cohort, tmp_path):  # noqa: F811
    task = TASKS.build(
        {**CONFIG, "quality": [{"type": "Pen"}], "quality_limits": {"pen": [0.9, 1.0]}}
    )
    _, embedded = task.process(cohort, tmp_path / "out")
    assert embedded.slides[0].state == "empty"
    assert "none of its 6 tiles is within quality_limits" in embedded.slides[0].reason


def test_waiting_is_counted_and_computing_is_not(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("gigakit.data.prefetch.time.perf_counter", lambda: clock[0])

    def slow():
        for item in range(3):
            clock[0] += 2.0
            yield item

    waited = Stopwatch()
    for _ in timed(slow(), waited):
        clock[0] += 10.0
    assert waited.seconds == 6.0
