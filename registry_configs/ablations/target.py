"""What is predicted? Embeddings as they are, normalised, or their direction.

Paper   MAE (He et al. 2022), table 1d, for pixels; Prov-GigaPath does not state it.
Input   the sample slide, or --set cohort=slides.csv.
Cost    three seeds of each cell; each is a run of gigapath_slide: gigakit ablate --dry-run tells.
Expect  all cells are scored on raw embeddings.
Run     gigakit ablate ablations/target
"""

_base_ = ["../gigapath_slide.py"]

ablate = dict(axes=dict(target=None), seeds=3)
