"""How much is hidden?

Paper   MAE (He et al. 2022), figure 5, for images; Prov-GigaPath does not state its ratio.
Input   the sample slide, or --set cohort=slides.csv.
Cost    three seeds of each cell; each is a run of gigapath_slide: gigakit ablate --dry-run tells.
Expect  all cells answer the same questions, those of masks of 75 %.
Run     gigakit ablate ablations/mask_ratio
"""

_base_ = ["../gigapath_slide.py"]

ablate = dict(axes=dict(mask_ratio=None), seeds=3)
