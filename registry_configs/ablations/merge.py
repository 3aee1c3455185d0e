"""How are branches merged, and is the merge differentiated?

Paper   LongNet's equation 10; the published code detaches the weights.
Input   the sample slide, or --set cohort=slides.csv.
Cost    three seeds of each cell; each is a run of gigapath_slide: gigakit ablate --dry-run tells.
Expect  with merge=mean the weights are constant, so that merge_gradient changes nothing.
Run     gigakit ablate ablations/merge
"""

_base_ = ["../gigapath_slide.py"]

ablation = dict(
    merge=dict(key="model.encoder.attention.merge", values=["lse", "mean"]),
    merge_gradient=dict(
        key="model.encoder.attention.merge_gradient", values=["detached", "exact"]
    ),
)
ablate = dict(axes=dict(merge=None, merge_gradient=None), seeds=3)
