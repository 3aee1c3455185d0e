"""Which attention? Dilated, as published, against full, local and linear attention. In small.

Paper   as ablations/attention, with the network of tiny/slide.
Input   the sample slide.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/attention
"""

_base_ = ["../slide.py"]

ablate = dict(axes=dict(attention=None))
