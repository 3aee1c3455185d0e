"""Tumour mutational burden, high or low, with the paper's settings.

Paper   Prov-GigaPath, Methods: base rate 2e-3, weight decay 0.01, 20 epochs,
        windows of 32 slides, the largest slide of each patient, 10 folds of 70 / 10 / 20. Dropout,
        layer decay and layer as in its released code.
Input   features of GigaPath's tile encoder; a CSV with slide_id, patient_id, split and
        tmb_high (0 or 1, or two words); --init-from slide_encoder.pth.
Cost    86 M parameters; not measured here.
Expect  AUROC 0.708. Not measured here.
Run     gigakit train tasks/tmb --set features=DIR --set labels=labels.csv --init-from FILE
"""

_base_ = ["../_base_/slide_task/mutation.py"]

target = dict(columns=["tmb_high"], kind="classification")
