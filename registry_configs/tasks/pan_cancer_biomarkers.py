"""Biomarkers over all cancers, eighteen in the paper, yes or no each.

Paper   Prov-GigaPath, Methods: base rate 2e-3, weight decay 0.01, 20 epochs,
        windows of 32 slides, the largest slide of each patient, 10 folds of 70 / 10 / 20. Dropout,
        layer decay and layer as in its released code.
Input   features of GigaPath's tile encoder; a CSV with slide_id, patient_id, split and
        0 or 1 (empty: unknown) in a column a biomarker: all
        columns that are none of these are taken; --init-from slide_encoder.pth.
Cost    86 M parameters; not measured here.
Expect  3.3 % more macro-AUROC and 8.9 % more macro-AUPRC than the best other encoder. Not measured here.
Run     gigakit train tasks/pan_cancer_biomarkers --set features=DIR --set labels=labels.csv --init-from FILE
"""

_base_ = ["../_base_/slide_task/mutation.py"]

target = dict(columns=None, kind="multi_label")  # None: all other columns
