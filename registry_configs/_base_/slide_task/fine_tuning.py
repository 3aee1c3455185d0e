"""GigaPath's slide encoder fine-tuned on labelled slides, with the released code's defaults."""

_base_ = [
    "../data/slide_bags.py",
    "../slide_model/longnet.py",
    "../schedule/slide_fine_tuning.py",
    "../runtime/slide_task.py",
]
