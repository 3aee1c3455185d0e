"""How much is hidden? In small.

Paper   as ablations/mask_ratio, with the network of tiny/slide.
Input   the sample slide.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/mask_ratio
"""

_base_ = ["../slide.py"]

ablate = dict(axes=dict(mask_ratio=None))
