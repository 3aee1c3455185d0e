"""Synthetic slides."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import simplejpeg
import tifffile


@pytest.fixture
def make_pyramid(tmp_path):
    """Return a function that writes a tiled TIFF which OpenSlide opens as a slide."""

    def make(
        name="slide.tif", *, size=(1024, 768), mpp=0.25, downsamples=(1, 2, 4), image=None, tile=256
    ):
        if image is None:
            generator = np.random.default_rng(0)
            image = generator.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        path = tmp_path / name
        with tifffile.TiffWriter(path) as writer:
            for level, downsample in enumerate(downsamples):
                rows, columns = image.shape[0] // downsample, image.shape[1] // downsample
                cut = image[: rows * downsample, : columns * downsample].astype(np.float64)
                reduced = cut.reshape(rows, downsample, columns, downsample, 3).mean(axis=(1, 3))
                options = {}
                if mpp is not None:
                    both = mpp if isinstance(mpp, tuple) else (mpp, mpp)
                    options = {
                        "resolution": tuple(1e4 / (axis * downsample) for axis in both),
                        "resolutionunit": "CENTIMETER",
                    }
                writer.write(
                    np.rint(reduced).astype(np.uint8),
                    tile=(tile, tile),
                    photometric="rgb",
                    compression="zlib",
                    subfiletype=1 if level else 0,
                    **options,
                )
        return path, image

    return make


@pytest.fixture
def tissue_image():
    """Return a white slide with one dark, textured square."""
    generator = np.random.default_rng(1)
    image = np.full((2048, 2560, 3), 240, dtype=np.uint8)
    image[512:1536, 1024:2048] = generator.integers(60, 140, (1024, 1024, 3))
    return image


def jpeg_tiles(image, tile, quality, subsampling):
    """Yield an image's tiles as JPEG streams; those at the border are filled up with white."""
    for top in range(0, image.shape[0], tile):
        for left in range(0, image.shape[1], tile):
            block = np.full((tile, tile, 3), 255, dtype=np.uint8)
            part = image[top : top + tile, left : left + tile]
            block[: part.shape[0], : part.shape[1]] = part
            yield simplejpeg.encode_jpeg(block, quality=quality, colorsubsampling=subsampling)


@pytest.fixture
def make_jpeg_pyramid(tmp_path):
    """Return a function that writes a TIFF of JPEG tiles, as scanners do."""

    def make(
        image,
        name="slide.tif",
        *,
        mpp=0.25,
        downsamples=(1,),
        tile=256,
        quality=90,
        subsampling="420",
        description=None,
        bigtiff=False,
    ):
        path = tmp_path / name
        with tifffile.TiffWriter(path, bigtiff=bigtiff) as writer:
            for level, downsample in enumerate(downsamples):
                reduced = image[::downsample, ::downsample]
                writer.write(
                    jpeg_tiles(np.ascontiguousarray(reduced), tile, quality, subsampling),
                    shape=reduced.shape,
                    dtype=np.uint8,
                    tile=(tile, tile),
                    photometric="rgb",
                    # tifffile takes encoded tiles only of a compression that it could write
                    compression="zlib",
                    subfiletype=1 if level else 0,
                    resolution=(1e4 / (mpp * downsample),) * 2,
                    resolutionunit="CENTIMETER",
                    description=description,
                    metadata=None,
                    extratags=[(530, "H", 2, (2, 2) if subsampling == "420" else (1, 1), True)],
                )
        with tifffile.TiffFile(path, mode="r+b") as file:
            for page in file.pages:
                page.tags["Compression"].overwrite(7)
                page.tags["PhotometricInterpretation"].overwrite(6)
        return path

    return make


@pytest.fixture
def textured():
    """Return a function that makes smooth colour with detail, as tissue has, of a size."""

    def make(height, width, seed=0):
        generator = np.random.default_rng(seed)
        coarse = generator.integers(60, 240, (height // 24 + 2, width // 24 + 2, 3))
        smooth = cv2.resize(
            coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
        )
        return np.clip(smooth + generator.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)

    return make
