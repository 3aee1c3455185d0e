"""Sinkhorn-Knopp against centering. In small.

Paper   as ablations/tile_targets, with the network of tiny/tile.
Input   the sample slide, or --set tiles=DIR.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/tile_targets
"""

_base_ = ["../tile.py"]

ablate = dict(axes=dict(targets=None))
