"""How are branches merged, and is the merge differentiated? In small.

Paper   as ablations/merge, with the network of tiny/slide.
Input   the sample slide.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/merge
"""

_base_ = ["../slide.py"]

ablate = dict(axes=dict(merge=None, merge_gradient=None))
