"""Segments and dilation ratios: five scales, three, the shortest alone, no dilation, steeper. In small.

Paper   as ablations/segments, with the network of tiny/slide.
Input   the sample slide.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/segments
"""

_base_ = ["../slide.py"]

ablate = dict(axes=dict(segments=None))
