"""Which positions? The wavelengths of sines and cosines, and whole cells against fractions.

Paper   Prov-GigaPath's published table: temperature 10,000, whole cells.
Input   the sample slide, or --set cohort=slides.csv.
Cost    three seeds of each cell; each is a run of gigapath_slide: gigakit ablate --dry-run tells.
Expect  short wavelengths learn faster on one small slide.
Run     gigakit ablate ablations/position
"""

_base_ = ["../gigapath_slide.py"]

ablation = dict(
    wavelengths=dict(key="model.encoder.position.temperature", values=[30.0, 300.0, 10_000.0]),
    whole_cells=dict(  # as in the published table, or the places of overlapping tiles
        key="model.encoder.position.quantize", cells=dict(no=False, yes=True)
    ),
)
ablate = dict(axes=dict(wavelengths=None, whole_cells=None), mode="one-at-a-time", seeds=3)
