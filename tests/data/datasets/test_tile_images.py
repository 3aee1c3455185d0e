"""Views of stored tiles: draws, tables, filters, and tiles that fail."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from gigakit.core.errors import ConfigError, StoreError
from gigakit.registry import DATASETS, SAMPLERS

VIEWS = {"type": "MultiCrop", "global_px": 32, "local_px": 16, "local_count": 3}


def build(root, **changes):
    return DATASETS.build({"type": "TileImages", "root": str(root), "views": VIEWS, **changes})


def same(one, two):
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(one.values(), two.values(), strict=True)
    )


def test_an_item_is_a_function_of_seed_and_draw(tile_folder):
    data = build(tile_folder)
    item = data[(3, 70)]
    assert item["global_crops"].shape == (2, 3, 32, 32)
    assert item["local_crops"].shape == (3, 3, 16, 16)
    assert item["image_id"] == "a/3.png"
    assert isinstance(item["seed"], int)
    assert same(item, data[(3, 70)])
    assert same(data[5], data[(5, 5)])
    for other in (data[(3, 71)], build(tile_folder, seed=1)[(3, 70)]):
        assert other["image_id"] == "a/3.png"
        assert other["seed"] != item["seed"]
        assert not torch.equal(other["global_crops"], item["global_crops"])


def test_views_repeat_tiles(tile_folder):
    data = build(tile_folder, views_per_tile=3)
    assert len(data) == 30
    assert data[13]["image_id"] == data[3]["image_id"]
    assert not torch.equal(data[13]["global_crops"], data[3]["global_crops"])


def test_a_table_chooses_tiles(tile_folder, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("tile,split\nb/7.png,train\na/1,val\nb/5,train\n")
    assert build(tile_folder, table=str(table)).names == ["b/7.png", "a/1.png", "b/5.png"]
    assert build(tile_folder, table=str(table), split="train").names == ["b/7.png", "b/5.png"]
    assert build(tile_folder, table=str(table), split="validation").names == ["a/1.png"]
    with pytest.raises(ConfigError, match=r"t\.csv: has no split 'test', only train, val"):
        build(tile_folder, table=str(table), split="test")


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_the_worker_count(tile_folder, workers):
    (tile_folder / "a" / "3.png").write_bytes(b"damaged")
    data = build(tile_folder, max_unreadable_share=0.1)
    data[(0, 0)]
    sampler = SAMPLERS.build({"type": "ResumableSampler", "dataset": data, "seed": 4})
    sampler.start = 20
    keys = [key for key, _ in zip(sampler, range(12), strict=False)]
    loader = DataLoader(data, batch_size=4, sampler=keys, num_workers=workers, collate_fn=list)
    items = [item for batch in loader for item in batch]
    fresh = build(tile_folder, max_unreadable_share=0.1)
    assert all(same(item, fresh[key]) for item, key in zip(items, keys, strict=True))


def test_an_unreadable_tile_is_replaced_told_once_and_counted(tile_folder, caplog):
    (tile_folder / "a" / "3.png").write_bytes((tile_folder / "a" / "3.png").read_bytes()[:200])
    data = build(tile_folder, max_unreadable_share=0.1)
    first, second = data[(3, 0)], data[(3, 1)]
    assert "a/3.png" not in (first["image_id"], second["image_id"])
    assert same(first, pickle.loads(pickle.dumps(data))[(3, 0)])
    told = [record.getMessage() for record in caplog.records if "a/3.png" in record.getMessage()]
    assert len(told) == 1
    assert "is no image, or is damaged; other tiles take its place" in told[0]
    assert data.unreadable.count == 1
    # which tile stands in follows from the draw
    assert len({data[(3, draw)]["image_id"] for draw in range(30)}) > 4


def test_too_many_unreadable_tiles_stop_the_run(tile_folder):
    for number in (2, 4):
        (tile_folder / "a" / f"{number}.png").write_bytes(b"")
    data = build(tile_folder, max_unreadable_share=0.1)
    data[(2, 0)]
    message = (
        r"tiles: 2 of 10 tiles cannot be read, the last 'a/4\.png': is empty; mend or remove them, "
        r"or raise max_unreadable_share, now 0\.1"
    )
    with pytest.raises(StoreError, match=message):
        data[(4, 0)]


def test_small_tiles_are_enlarged_and_told_and_tiny_ones_refused(tile_folder, caplog):
    data = build(tile_folder, views=VIEWS | {"global_px": 64})
    assert data[(0, 0)]["global_crops"].shape == (2, 3, 64, 64)
    data[(1, 1)]
    told = [record.getMessage() for record in caplog.records]
    assert (
        len([text for text in told if "has 48 x 48 px; views of 64 px are enlarged" in text]) == 1
    )
    tiny = build(tile_folder, smallest_tile_px=49)
    with pytest.raises(StoreError, match=r"'a/0\.png': has 48 x 48 px, under 49 px"):
        tiny[(0, 0)]


def test_a_filter_chooses_among_tiles(tile_folder, encoded):
    pink = np.full((48, 48, 3), (200, 90, 170), dtype=np.uint8)
    for path in sorted(tile_folder.rglob("[0-9].png")):
        white = path.name in ("0.png", "1.png", "2.png")
        path.write_bytes(encoded(np.full_like(pink, 245) if white else pink))
    data = build(tile_folder, tissue_filter={"type": "TissueFilter"})
    seen = {
        data[(index, 10 * draw + index)]["image_id"] for index in range(10) for draw in range(9)
    }
    assert seen == {f"{'a' if n < 5 else 'b'}/{n}.png" for n in range(3, 10)}
    assert data.unreadable.count == 0
    none = build(tile_folder, tissue_filter={"type": "TissueFilter", "value": (0, 1)})
    with pytest.raises(StoreError, match="none of 1000 tiles drawn can be used; loosen"):
        none[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"root": None}, r"TileImages\.root: no folder of tiles; set it|no folder of tiles"),
        ({"views_per_tile": 0}, r"TileImages\.views_per_tile: got 0; give 1 or more"),
        ({"smallest_tile_px": 0}, r"TileImages\.smallest_tile_px"),
        ({"split": "train"}, r"TileImages\.split: split 'train' without a table; give table too"),
        ({"max_unreadable_share": 2}, r"max_unreadable_share: got 2; give 0 to 1"),
    ],
)
def test_what_cannot_be_is_told(tile_folder, changes, message):
    config = {"type": "TileImages", "root": str(tile_folder), **changes}
    with pytest.raises(ConfigError, match=message):
        DATASETS.build(config)


def test_an_empty_folder_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=re.escape("holds no tiles (*.jpg")):
        build(tmp_path / "empty")
