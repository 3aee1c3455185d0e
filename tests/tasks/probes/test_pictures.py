"""Pictures of a probe: numbers in their place, frames by agreement."""

from __future__ import annotations

import numpy as np

from gigakit.tasks.probes.labelled import LabelledFeatures
from gigakit.tasks.probes.pictures import confusion_picture, neighbours_picture, some_tiles

WIDTH = 128 + 2 * 4 + 4


def data():
    """Eight tiles on two axes: two train and two test tiles of each class."""
    features = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]] * 2, dtype=np.float32)
    return LabelledFeatures(
        features,
        np.array([0, 0, 1, 1] * 2),
        ("a", "b"),
        np.arange(8).astype(str),
        np.array(["train"] * 4 + ["test"] * 4),
    )


def test_a_cell_is_as_dark_as_its_share_of_the_class():
    names = ("a class of some length", "another of some length")
    picture = confusion_picture(np.array([[9, 1], [0, 4]]), names, "title")
    left = picture.shape[1] - 8 - 2 * 64
    corners = [
        picture[64 + row * 64 + 3, left + column * 64 + 3] for row in (0, 1) for column in (0, 1)
    ]
    reds = [int(corner[0]) for corner in corners]
    assert reds[3] < reds[0] < reds[1] < reds[2] == 255


def test_test_tiles_are_of_each_class_in_turn():
    assert some_tiles(data(), "test", 2).tolist() == [4, 6]
    assert some_tiles(data(), "test", 3).tolist() == [4, 5, 6]
    assert some_tiles(data(), "test", 99).tolist() == [4, 5, 6, 7]


def test_frames_tell_whether_neighbours_are_of_the_same_class():
    asked = []

    def pixels(row):
        asked.append(row)
        return np.full((32, 32, 3), 10 * row, np.uint8)

    picture = neighbours_picture(data(), pixels, tiles=2, neighbours=3)
    assert asked == [4, 0, 1, 3, 6, 2, 3, 1]
    frames = [picture[20, column * WIDTH + 1].tolist() for column in range(4)]
    right, wrong = frames[1], frames[3]
    assert frames[2] == right
    assert right[1] > right[0]
    assert wrong[0] > wrong[1]
    # the middle of each is the tile itself
    assert picture[80, 3 * WIDTH + 60].tolist() == [30, 30, 30]
