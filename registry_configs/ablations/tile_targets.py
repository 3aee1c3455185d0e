"""Sinkhorn-Knopp against centering.

Paper   DINOv2 (Oquab et al. 2024), section 4; Caron et al. 2020.
Input   slides, or --set tiles=DIR; labelled tiles for scores, --set labelled=...
Cost    three seeds of each cell; each is a run of gigapath_tile: gigakit ablate --dry-run tells.
Expect  as tile_losses.
Run     gigakit ablate ablations/tile_targets
"""

_base_ = ["../gigapath_tile.py"]

ablate = dict(axes=dict(targets=None), seeds=3)
