"""Subtypes of renal cell carcinoma (RCC), with the paper's settings.

Paper   Prov-GigaPath, Methods: base rate 4e-3, weight decay 1e-3, layer decay 0.9,
        20 epochs, windows of 32 slides, 10 folds. Classes: CCRCC, PRCC and CHRCC.
Input   features of GigaPath's tile encoder; a CSV with slide_id, patient_id, split and subtype;
        --init-from slide_encoder.pth.
Cost    86 M parameters; not measured here.
Expect  mean AUROC 0.903 over the paper's nine subtyping tasks, 0.886 from random weights; no number of
        this one is known here. Not measured here.
Run     gigakit train tasks/rcc --set features=DIR --set labels=labels.csv --init-from FILE
"""

_base_ = ["../_base_/slide_task/subtyping.py"]

target = dict(columns=["subtype"], kind="classification")
