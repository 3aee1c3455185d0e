"""Do tiles overlap, or leave the grid?

Paper   Prov-GigaPath tiles without overlap; moving distance as in tile-level pretraining.
Input   the sample slide, or --set cohort=slides.csv.
Cost    three seeds of each cell; each is a run of gigapath_slide: gigakit ablate --dry-run tells.
Expect  other tiles are other embeddings: the table says what does not compare.
Run     gigakit ablate ablations/overlap
"""

_base_ = ["../gigapath_slide.py"]

ablation = dict(overlap=dict(key="preparation.tiler.overlap", values=[0.0, 0.25, 0.5]))
ablate = dict(axes=dict(overlap=None, tiler="GridTiler,JitteredTiler"), mode="one-at-a-time", seeds=3)
