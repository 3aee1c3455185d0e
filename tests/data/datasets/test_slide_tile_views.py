"""Views of tiles read from their slides: places, resolutions, and damage."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from gigakit.core.errors import ConfigError, DamagedRegionError, StoreError
from gigakit.registry import DATASETS
from gigakit.wsi.readers.image_reader import ImageReader
from gigakit.wsi.tiles import TileTable

# one view that is the tile itself
WHOLE = {"type": "MultiCrop", "global_px": 64, "global_scale": (1, 1), "aspect": (1, 1),
         "global_count": 1, "local_count": 0, "horizontal_flip": 0}  # fmt: skip


def build(folder, **changes):
    config = {"type": "SlideTileViews", "tiles": str(folder), "views": WHOLE}
    return DATASETS.build({**config, **changes})


def pixels(item):
    return item["global_crops"][0].permute(1, 2, 0).numpy()


def slide_image(folder, number):
    data = np.frombuffer((folder.parents[2] / f"slide{number}.png").read_bytes(), dtype=np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_an_item_is_the_tile_of_its_table(tiled_slides):
    data = build(tiled_slides)
    assert len(data) == 24
    for index, (slide, number) in {0: (0, 0), 11: (0, 11), 12: (1, 0), 18: (1, 6)}.items():
        item = data[(index, 5)]
        x, y = TileTable.load(tiled_slides / f"slide{slide}.h5").coords[number]
        expected = slide_image(tiled_slides, slide)[y : y + 64, x : x + 64]
        assert np.array_equal(pixels(item), expected)
        assert item["image_id"] == f"slide{slide}:{number}"
        assert item["local_crops"].shape == (0, 3, 96, 96)


def test_an_item_is_a_function_of_seed_and_draw(tiled_slides):
    options = {"tiles_per_slide": 50, "jitter": 0.5, "views": {**WHOLE, "global_scale": (0.5, 1)}}
    data, again = build(tiled_slides, **options), build(tiled_slides, **options)
    assert len(data) == 100
    for draw in (3, 4, 5):
        one, two = data[(7, draw)], again[(7, draw)]
        assert torch.equal(one["global_crops"], two["global_crops"])
        assert (one["seed"], one["image_id"]) == (two["seed"], two["image_id"])
    assert data[(7, 3)]["seed"] != data[(7, 4)]["seed"]
    assert len({data[(7, draw)]["image_id"] for draw in range(60)}) == 12
    assert {data[(7, draw)]["image_id"][:6] for draw in range(9)} == {"slide1"}


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_the_worker_count(tiled_slides, workers):
    data = build(tiled_slides, jitter=0.3, most_open=1)
    data[0]
    keys = [(n % 24, n) for n in range(20, 32)]
    loader = DataLoader(data, batch_size=3, sampler=keys, num_workers=workers, collate_fn=list)
    items = [item for batch in loader for item in batch]
    fresh = build(tiled_slides, jitter=0.3)
    for item, key in zip(items, keys, strict=True):
        assert torch.equal(item["global_crops"], fresh[key]["global_crops"])


def test_jitter_moves_tiles_within_the_slide(tiled_slides):
    data, image = build(tiled_slides, jitter=0.5), slide_image(tiled_slides, 0)
    places = set()
    for draw in range(40):
        view = pixels(data[(5, draw)])
        found = cv2.matchTemplate(image, view, cv2.TM_SQDIFF)
        y, x = np.unravel_index(found.argmin(), found.shape)
        assert np.array_equal(image[y : y + 64, x : x + 64], view)
        places.add((y, x))
    # tile 5 begins at (64, 64) px
    assert len(places) > 30
    for axis in np.array(sorted(places)).T:
        assert 32 <= axis.min() < 44
        assert 84 < axis.max() <= 96


def test_several_resolutions_keep_the_centre(tiled_slides):
    data, image = build(tiled_slides, mpp=(0.5, 1.0, 0.25)), slide_image(tiled_slides, 0)
    near, far = image[64:128, 64:128], image[32:160, 32:160]
    half = cv2.resize(far, (64, 64), interpolation=cv2.INTER_AREA)
    seen = [
        "near" if np.array_equal(view, near) else "far" if np.array_equal(view, half) else "?"
        for view in (pixels(data[(5, draw)]) for draw in range(40))
    ]
    # 0.25 µm/px is finer than the slide, so it is never taken
    assert set(seen) == {"near", "far"}
    assert 8 < seen.count("far") < 32


def test_a_larger_field_is_read_around_the_tile(tiled_slides):
    views = {"type": "ExtendedContextCrops", "global_px": 64, "local_px": 32, "local_count": 2}
    item = build(tiled_slides, tile_size_px=128, views=views)[0]
    assert item["global_crops"].shape == (2, 3, 64, 64)
    whole = {**WHOLE, "global_px": 128}
    image = slide_image(tiled_slides, 0)
    data = build(tiled_slides, tile_size_px=128, views=whole)
    assert np.array_equal(pixels(data[5]), image[32:160, 32:160])
    # at the slide's corner the field is moved inside
    assert np.array_equal(pixels(data[0]), image[:128, :128])


def test_damaged_regions_are_replaced_and_counted(tiled_slides, monkeypatch, caplog):
    read = ImageReader.read

    def damaged(self, level, x, y, width, height):
        if self.path.stem == "slide0" and (x, y) == (64, 64):
            raise DamagedRegionError("a strip is missing", where=self.path)
        return read(self, level, x, y, width, height)

    monkeypatch.setattr(ImageReader, "read", damaged)
    data = build(tiled_slides, max_unreadable_share=0.05)
    names = [data[(5, draw)]["image_id"] for draw in range(30)]
    assert "slide0:5" not in names
    assert len(set(names)) > 5
    assert data.unreadable.count == 1
    assert [r.getMessage().count("slide0:5: a strip is missing") for r in caplog.records] == [1]
    with pytest.raises(StoreError, match=r"1 of 24 tiles cannot be read, the last 'slide0:5'"):
        build(tiled_slides)[5]


def test_a_missing_slide_counts_with_all_its_tiles(tiled_slides):
    (tiled_slides.parents[2] / "slide1.png").unlink()
    data = build(tiled_slides, max_unreadable_share=0.5, tiles_per_slide=1)
    assert {data[(1, draw)]["image_id"][:6] for draw in range(8)} == {"slide0"}
    assert data.unreadable.count == 12
    with pytest.raises(StoreError, match=r"12 of 24 tiles cannot be read, the last 'slide1': .*no"):
        build(tiled_slides)[20]


def test_a_filter_chooses_among_tiles(tiled_slides):
    accept = {"type": "TissueFilter", "hue": (0, 180), "saturation": (0, 255), "value": (170, 255)}
    accept["least_share"] = 0.3
    data = build(tiled_slides, tissue_filter=accept)
    names = {data[(index, index)]["image_id"] for index in range(24)}
    assert 1 <= len(names) < 24
    for index in range(24):
        bright = pixels(data[(index, index)]).max(axis=2) >= 170
        assert bright.mean() > 0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tiles": None}, "no folder of tiles; set it"),
        ({"tiles_per_slide": 0}, r"SlideTileViews\.tiles_per_slide: got 0; give 1 or more"),
        ({"jitter": -1}, "got jitter -1, mpp"),
        ({"mpp": (0,)}, r"mpp \(0,\); give jitter 0 or more, and µm per pixel"),
    ],
)
def test_what_cannot_be_is_told(tiled_slides, changes, message):
    with pytest.raises(ConfigError, match=message):
        DATASETS.build({"type": "SlideTileViews", "tiles": str(tiled_slides), **changes})


def test_folders_without_tables_are_told(tiled_slides, tmp_path):
    with pytest.raises(StoreError, match=r"holds no tile tables \(\*\.h5\); make them with"):
        build(tmp_path / "none")
    with pytest.raises(StoreError, match=r"slide9\.h5: no such file"):
        build(tiled_slides, slide_ids=["slide9"])
    assert len(build(tiled_slides, slide_ids=["slide1"])) == 12
