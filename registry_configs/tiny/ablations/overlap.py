"""Do tiles overlap, or leave the grid? In small.

Paper   as ablations/overlap, with the network of tiny/slide.
Input   the sample slide.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/overlap
"""

_base_ = ["../slide.py"]

ablate = dict(axes=dict(overlap=None, tiler="GridTiler,JitteredTiler"), mode="one-at-a-time")
