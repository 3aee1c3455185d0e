"""Which dilation ratios? As published, none (more work), or steeper (less).

Paper   LongNet (Ding et al. 2023), section 2.2.
Input   the sample slide, or --set cohort=slides.csv.
Cost    three seeds of each cell; each is a run of gigapath_slide: gigakit ablate --dry-run tells.
Expect  cells differ in cost.
Run     gigakit ablate ablations/ratios
"""

_base_ = ["../gigapath_slide.py"]

ablate = dict(axes=dict(ratios=None), seeds=3)
