"""Otsu against other segmenters. In small.

Paper   as ablations/segmenter, with the network of tiny/slide.
Input   the sample slide.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/segmenter
"""

_base_ = ["../slide.py"]

ablate = dict(axes=dict(segmenter=None))
