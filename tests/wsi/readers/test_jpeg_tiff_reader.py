import logging

import cv2
import numpy as np
import pytest
import tifffile

from gigakit.core.errors import DamagedRegionError, UnreadableSlideError, UnsuitedSlideError
from gigakit.wsi.readers import jpeg_tiff_reader
from gigakit.wsi.readers.jpeg_tiff_reader import JpegTiffReader
from gigakit.wsi.readers.openslide_reader import OpenSlideReader
from gigakit.wsi.slide import open_slide


def places(path, level=0):
    with tifffile.TiffFile(path) as file:
        page = file.pages[level]
        return list(zip(page.dataoffsets, page.databytecounts, strict=True))


def overwrite(path, at, data):
    with path.open("r+b") as stream:
        stream.seek(at)
        stream.write(data)


@pytest.mark.parametrize("tile", [240, 256])
@pytest.mark.parametrize("subsampling", ["420", "444"])
def test_pixels_are_openslides_bit_for_bit(make_jpeg_pyramid, textured, tile, subsampling):
    path = make_jpeg_pyramid(
        textured(701, 923), downsamples=(1, 2, 4), tile=tile, subsampling=subsampling
    )
    with JpegTiffReader(path) as ours, OpenSlideReader(path) as theirs:
        assert ours.level_dimensions == list(theirs.level_dimensions)
        assert ours.level_downsamples == list(theirs.level_downsamples)
        assert (ours.mpp, ours.vendor) == (theirs.mpp, theirs.vendor)
        for level in range(3):
            width, height = ours.level_dimensions[level]
            whole = (level, -17, -5, width + 40, height + 23)
            np.testing.assert_array_equal(ours.read(*whole), theirs.read(*whole))
        inner = (0, 233, 129, 300, 275)
        np.testing.assert_array_equal(ours.read(*inner), theirs.read(*inner))


def test_a_real_aperio_slide_is_read_bit_for_bit(shared):
    path = shared / "data" / "slides" / "cmu-1-small-region.svs"
    with JpegTiffReader(path) as ours, OpenSlideReader(path) as theirs:
        assert (ours.vendor, ours.mpp) == ("aperio", (0.499, 0.499))
        whole = (0, -30, -20, 2300, 3050)
        np.testing.assert_array_equal(ours.read(*whole), theirs.read(*whole))


@pytest.mark.parametrize("name", ["OS-1-detail.ome.tif", "OS-2-ndpi.ome.tif"])
def test_ome_tiff_that_openslide_does_not_know_is_read(shared, name):
    path = shared / "data" / "slides" / name
    with pytest.raises(UnreadableSlideError, match="a TIFF of a kind that OpenSlide"):
        OpenSlideReader(path)
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx((0.2271, 0.2271), abs=1e-4)
        assert slide.mpp_source == "OME-XML"
        pixels = slide.read(0, 300, 300, 256, 256)
    assert pixels.std() > 10


@pytest.mark.parametrize(("factor", "least"), [(2, 43), (4, 38), (8, 38)])
def test_reduced_decoding_is_close_to_the_mean_over_the_pixels(
    make_jpeg_pyramid, textured, factor, least
):
    path = make_jpeg_pyramid(textured(1024, 1024), tile=256)
    with JpegTiffReader(path) as slide:
        got = slide.read_scaled(0, factor, 3, 5, 100, 90)
        exact = slide.read(0, 3 * factor, 5 * factor, 100 * factor, 90 * factor)
    mean = cv2.resize(exact, (100, 90), interpolation=cv2.INTER_AREA)
    noise = np.mean((got.astype(float) - mean) ** 2)
    assert 10 * np.log10(255**2 / noise) > least
    with JpegTiffReader(path, scaled_decode=False) as slide:
        assert slide.scaling == "area"
        np.testing.assert_array_equal(slide.read_scaled(0, factor, 3, 5, 100, 90), mean)


@pytest.mark.parametrize("damage", ["zeroed", "half", "noise", "other size"])
def test_damage_is_told_by_its_tile_and_the_rest_is_read(
    make_jpeg_pyramid, textured, damage, tmp_path
):
    path = make_jpeg_pyramid(textured(768, 768), tile=256)
    with JpegTiffReader(path) as slide:
        sound = slide.read(0, 0, 0, 256, 768)
    at, size = places(path)[4]
    if damage == "zeroed":
        overwrite(path, at, bytes(size))
    elif damage == "half":
        overwrite(path, at + size // 2, bytes(size - size // 2))
    elif damage == "noise":
        noise = np.random.default_rng(0).integers(0, 255, 200, dtype=np.uint8)
        overwrite(path, at + size // 2, noise.tobytes())
    else:
        # a JPEG header that asks for 65,500 px must not be believed
        data = bytearray(path.read_bytes()[at : at + size])
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = (65500).to_bytes(2, "big") * 2
        overwrite(path, at, bytes(data))
    with open_slide(path) as slide:
        assert isinstance(slide, JpegTiffReader)
        with pytest.raises(DamagedRegionError, match="level 0, in its tile 1, 1 of 256 px"):
            slide.read(0, 200, 200, 100, 100)
        np.testing.assert_array_equal(slide.read(0, 0, 0, 256, 768), sound)


def test_a_tile_beyond_the_end_is_that_tiles_damage_and_many_are_the_slides(
    make_jpeg_pyramid, textured
):
    path = make_jpeg_pyramid(textured(64 * 14, 64 * 15), tile=64, bigtiff=True)
    last = places(path)[-1]
    data = path.read_bytes()
    # tiles come last, the directory first
    assert last[0] + last[1] == len(data)
    path.write_bytes(data[:-10])
    with JpegTiffReader(path) as slide:
        assert slide.mpp == pytest.approx((0.25, 0.25))
        slide.read(0, 0, 0, 64, 64)
        with pytest.raises(DamagedRegionError, match="the file ends before byte"):
            slide.read(0, 64 * 14, 64 * 13, 64, 64)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableSlideError, match=r"cut short: \d+ of 210 tiles"):
        open_slide(path)


def test_left_out_tiles_go_to_openslide(make_jpeg_pyramid, textured, caplog):
    path = make_jpeg_pyramid(textured(512, 512), tile=256)
    with tifffile.TiffFile(path, mode="r+b") as file:
        tag = file.pages[0].tags["TileByteCounts"]
        tag.overwrite([*tag.value[:3], 0])
    with pytest.raises(UnsuitedSlideError, match="leaves tiles out"):
        JpegTiffReader(path)
    with caplog.at_level(logging.INFO, logger="gigakit.wsi.slide"), open_slide(path) as slide:
        assert isinstance(slide, OpenSlideReader)
        assert (slide.read(0, 300, 300, 50, 50) == 255).all()


def test_other_compressions_go_to_openslide(make_pyramid):
    path, _ = make_pyramid()
    with pytest.raises(UnsuitedSlideError, match="no tiles of 8-bit JPEG"):
        JpegTiffReader(path)
    with open_slide(path) as slide:
        assert isinstance(slide, OpenSlideReader)


def test_an_absurd_size_is_refused_before_anything_is_allocated(make_jpeg_pyramid, textured):
    path = make_jpeg_pyramid(textured(64, 64), tile=64, quality=10)
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = file.pages[0].tags
        for name in ("ImageWidth", "ImageLength", "TileWidth", "TileLength"):
            tags[name].overwrite(65504)
    with pytest.raises(UnreadableSlideError, match="asks for 65504 x 65504 px"):
        open_slide(path)


def test_a_kept_index_opens_a_slide_without_parsing_it(
    make_jpeg_pyramid, textured, tmp_path, monkeypatch
):
    path = make_jpeg_pyramid(textured(300, 520), downsamples=(1, 2), tile=256)
    folder = tmp_path / "index"
    with open_slide(path, index_folder=folder) as first:
        expected = first.read(1, 0, 0, 200, 100)
        facts = (first.level_dimensions, first.level_downsamples, first.mpp, first.vendor)

    def parse(path):
        raise AssertionError("parsed again")

    with monkeypatch.context() as patch:
        patch.setattr(jpeg_tiff_reader, "build_index", parse)
        with open_slide(path, index_folder=folder) as again:
            np.testing.assert_array_equal(again.read(1, 0, 0, 200, 100), expected)
            assert facts == (
                again.level_dimensions, again.level_downsamples, again.mpp, again.vendor,
            )  # fmt: skip
        path.touch()
        with pytest.raises(AssertionError, match="parsed again"):
            open_slide(path, index_folder=folder)


def test_a_damaged_index_is_made_anew(make_jpeg_pyramid, textured, tmp_path, caplog):
    path = make_jpeg_pyramid(textured(300, 300))
    folder = tmp_path / "index"
    open_slide(path, index_folder=folder).close()
    (kept,) = folder.rglob("*.safetensors")
    kept.write_bytes(b"nonsense" * 9)
    open_slide(path, index_folder=folder).close()
    assert "is damaged and is made anew" in caplog.text
    caplog.clear()
    open_slide(path, index_folder=folder).close()
    assert not caplog.text


def test_more_directories_than_any_scanner_writes_are_not_followed(tmp_path):
    path = tmp_path / "many.tif"
    with tifffile.TiffWriter(path) as writer:
        for _ in range(300):
            writer.write(np.zeros((16, 16), np.uint8), metadata=None)
    with pytest.raises(UnsuitedSlideError, match="more than 256 directories"):
        JpegTiffReader(path)


def test_few_decoded_tiles_are_kept(make_jpeg_pyramid, textured):
    path = make_jpeg_pyramid(textured(2048, 2048), tile=256)
    with JpegTiffReader(path, cache_mib=1) as slide:
        slide.read(0, 0, 0, 2048, 2048)
        assert 0 < slide._tiles._held <= 2**20
