"""What is a crop of a slide, and does the flip help?

Paper   Prov-GigaPath, Methods: crop ratio 0.875, flip 0.5; of what the crop is, is not stated.
Input   the sample slide, or --set cohort=slides.csv.
Cost    three seeds of each cell; each is a run of gigapath_slide: gigakit ablate --dry-run tells.
Expect  on the sample crops of one slide; what they are worth needs a cohort.
Run     gigakit ablate ablations/crop
"""

_base_ = ["../gigapath_slide.py"]

ablate = dict(axes=dict(crop=None, flip=None), mode="one-at-a-time", seeds=3)
