"""Otsu against other segmenters.

Paper   Prov-GigaPath: Otsu; CLAM (Lu et al. 2021) and others.
Input   the sample slide, or --set cohort=slides.csv.
Cost    three seeds of each cell; each is a run of gigapath_slide: gigakit ablate --dry-run tells.
Expect  other tiles are other embeddings: the table says what does not compare.
Run     gigakit ablate ablations/segmenter
"""

_base_ = ["../gigapath_slide.py"]

ablate = dict(axes=dict(segmenter=None), seeds=3)
