import numpy as np
import pytest

from gigakit.wsi import partial_features
from gigakit.wsi.partial_features import PartialFeatures


@pytest.fixture
def saves_at_once(monkeypatch):
    monkeypatch.setattr(partial_features, "SAVE_SECONDS", -1.0)


def batch(first, count, width=5):
    return (np.arange(count * width).reshape(count, width) + first * width).astype(np.float16)


def all_of(partial):
    return np.concatenate(list(partial.chunks()))


def test_an_interrupted_slide_goes_on_where_it_was_saved(tmp_path, saves_at_once, monkeypatch):
    first = PartialFeatures(tmp_path, "a", ["x"])
    first.append(batch(0, 4), np.array([0, 1, 0, 0], bool))
    first.append(batch(4, 4), np.zeros(4, bool))
    monkeypatch.setattr(partial_features, "SAVE_SECONDS", 60)
    first.append(batch(8, 4), np.ones(4, bool))
    # the third batch was in memory alone
    again = PartialFeatures(tmp_path, "a", ["x"])
    assert (again.count, again.bad) == (8, [1])
    again.append(batch(8, 3), np.array([0, 0, 1], bool))
    np.testing.assert_array_equal(all_of(again), batch(0, 11))
    assert again.bad == [1, 10]
    again.remove()
    assert not any(tmp_path.rglob("*"))
    assert PartialFeatures(tmp_path, "a", ["x"]).count == 0


@pytest.mark.parametrize("damage", ["identity", "state", "short", "gone"])
def test_what_cannot_be_used_is_made_anew(tmp_path, saves_at_once, damage):
    first = PartialFeatures(tmp_path, "a", ["x"])
    first.append(batch(0, 4), np.zeros(4, bool))
    data, state = tmp_path / "a.f16", tmp_path / "a.json"
    if damage == "state":
        state.write_text("{")
    elif damage == "short":
        data.write_bytes(data.read_bytes()[:-1])
    elif damage == "gone":
        data.unlink()
    again = PartialFeatures(tmp_path, "a", ["y" if damage == "identity" else "x"])
    assert (again.count, again.bad) == (0, [])
    again.append(batch(7, 2), np.zeros(2, bool))
    np.testing.assert_array_equal(all_of(again), batch(7, 2))


def test_what_was_written_after_the_last_state_does_not_count(tmp_path, saves_at_once):
    first = PartialFeatures(tmp_path, "a", ["x"])
    first.append(batch(0, 4), np.zeros(4, bool))
    with (tmp_path / "a.f16").open("ab") as stream:
        stream.write(b"torn write")
    again = PartialFeatures(tmp_path, "a", ["x"])
    assert again.count == 4
    again.append(batch(4, 4), np.zeros(4, bool))
    np.testing.assert_array_equal(all_of(PartialFeatures(tmp_path, "a", ["x"])), batch(0, 8))
