"""Synthetic slides."""

from __future__ import annotations

import numpy as np
import pytest
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
