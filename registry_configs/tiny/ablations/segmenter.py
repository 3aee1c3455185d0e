"""Otsu against other segmenters. In small.

Paper   as ablations/segmenter, with the network of tiny/slide.
Input   the sample slide.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/segmenter
"""

_base_ = ["../slide.py"]

# CLAM's least piece of tissue, 1.64 mm², is the whole sample
ablate = dict(
    axes=dict(
        segmenter="OtsuSegmenter,SaturationOtsuSegmenter,HsvRangeSegmenter,ClamSegmenter(min_tissue_mm2=0.1)"
    )
)
