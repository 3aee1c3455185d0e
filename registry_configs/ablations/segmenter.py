"""Otsu against other segmenters.

Paper   Prov-GigaPath: Otsu; CLAM (Lu et al. 2021) and others.
Input   the sample slide, or --set cohort=slides.csv.
Cost    three seeds of each cell; each is a run of gigapath_slide: gigakit ablate --dry-run tells.
Expect  other tiles are other embeddings: the table says what does not compare.
Run     gigakit ablate ablations/segmenter
"""

_base_ = ["../gigapath_slide.py"]

# CLAM's least piece of tissue, 1.64 mm², is the whole sample
ablate = dict(
    axes=dict(
        segmenter="OtsuSegmenter,SaturationOtsuSegmenter,HsvRangeSegmenter,ClamSegmenter(min_tissue_mm2=0.1)"
    ), seeds=3
)
