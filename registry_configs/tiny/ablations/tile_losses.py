"""DINO alone, with masks, with iBOT, with KoLeo. In small.

Paper   as ablations/tile_losses, with the network of tiny/tile.
Input   the sample slide, or --set tiles=DIR.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/tile_losses
"""

_base_ = ["../tile.py"]

ablate = dict(axes=dict(losses=None))
