"""Segments and dilation ratios: five scales, three, the shortest alone, no dilation, steeper.

Paper   LongNet (Ding et al. 2023), section 2.2; Prov-GigaPath has five.
Input   the sample slide, or --set cohort=slides.csv.
Cost    three seeds of each cell; each is a run of gigapath_slide: gigakit ablate --dry-run tells.
Expect  cells differ in cost; on the sample segments are scaled down to its tokens.
Run     gigakit ablate ablations/segments
"""

_base_ = ["../gigapath_slide.py"]

ablate = dict(axes=dict(segments=None), seeds=3)
