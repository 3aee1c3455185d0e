"""What is a crop of a slide, and does the flip help? In small.

Paper   as ablations/crop, with the network of tiny/slide.
Input   the sample slide.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/crop
"""

_base_ = ["../slide.py"]

ablate = dict(axes=dict(crop=None, flip=None), mode="one-at-a-time")
