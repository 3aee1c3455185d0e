"""DINO alone, with masks, with iBOT, with KoLeo.

Paper   DINOv2 (Oquab et al. 2024), table 3.
Input   slides, or --set tiles=DIR; labelled tiles for scores, --set labelled=...
Cost    three seeds of each cell; each is a run of gigapath_tile: gigakit ablate --dry-run tells.
Expect  minutes on a small network tell little: give it a cohort and labelled tiles.
Run     gigakit ablate ablations/tile_losses
"""

_base_ = ["../gigapath_tile.py"]

ablate = dict(axes=dict(losses=None), seeds=3)
