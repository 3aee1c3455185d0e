"""Which dilation ratios? As published, none (more work), or steeper (less). In small.

Paper   as ablations/ratios, with the network of tiny/slide.
Input   the sample slide.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/ratios
"""

_base_ = ["../slide.py"]

ablate = dict(axes=dict(ratios=None))
