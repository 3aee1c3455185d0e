"""Segments and dilation ratios: five scales, three, the shortest alone, no dilation, steeper.

Paper   LongNet (Ding et al. 2023), section 2.2; Prov-GigaPath has five.
Input   the sample slide, or --set cohort=slides.csv.
Cost    three seeds of each cell; each is a run of gigapath_slide: gigakit ablate --dry-run tells.
Expect  cells differ in cost; on the sample segments are scaled down to its tokens.
Run     gigakit ablate ablations/segments
"""

_base_ = ["../gigapath_slide.py"]

ablation = dict(
    segments=dict(  # with the ratio of each
        sets=dict(
            recipe={},
            three={
                "model.encoder.attention.segment_lengths": [1024, 32_768, 1_048_576],
                "model.encoder.attention.dilation_ratios": [1, 4, 16],
            },
            shortest={
                "model.encoder.attention.segment_lengths": [1024],
                "model.encoder.attention.dilation_ratios": [1],
            },
            undilated={"model.encoder.attention.dilation_ratios": [1, 1, 1, 1, 1]},
            steeper={"model.encoder.attention.dilation_ratios": [1, 3, 9, 27, 81]},
        )
    )
)
ablation_sample = {
    "ablation.segments.sets.three": {
        "model.encoder.attention.segment_lengths": [16, 64, 256],
        "model.encoder.attention.dilation_ratios": [1, 4, 16],
    },
    "ablation.segments.sets.shortest": {
        "model.encoder.attention.segment_lengths": [16],
        "model.encoder.attention.dilation_ratios": [1],
    },
}
ablate = dict(axes=dict(segments=None), seeds=3)
