"""Which attention? Dilated, as published, against full, local and linear attention.

Paper   Prov-GigaPath's choice of LongNet, which it did not ablate.
Input   the sample slide, or --set cohort=slides.csv.
Cost    three seeds of each cell; each is a run of gigapath_slide: gigakit ablate --dry-run tells.
Expect  embeddings and questions are the same in every cell; cost beside quality.
Run     gigakit ablate ablations/attention
"""

_base_ = ["../gigapath_slide.py"]

ablate = dict(axes=dict(attention=None), seeds=3)
