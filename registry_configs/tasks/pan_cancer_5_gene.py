"""Five genes over all cancers, yes or no each, with the paper's settings.

Paper   Prov-GigaPath, Methods: base rate 2e-3, weight decay 0.01, 20 epochs,
        windows of 32 slides, the largest slide of each patient, 10 folds of 70 / 10 / 20. Dropout,
        layer decay and layer as in its released code.
Input   features of GigaPath's tile encoder; a CSV with slide_id, patient_id, split and
        0 or 1 (empty: unknown) for EGFR, FAT1, KRAS, LRP1B
        and TP53; --init-from slide_encoder.pth.
Cost    86 M parameters; not measured here.
Expect  6.5 % more macro-AUROC and 18.7 % more AUPRC than the best other encoder; other figures are
        not known here. Not measured here.
Run     gigakit train tasks/pan_cancer_5_gene --set features=DIR --set labels=labels.csv --init-from FILE
"""

_base_ = ["../_base_/slide_task/mutation.py"]

target = dict(columns=["EGFR", "FAT1", "KRAS", "LRP1B", "TP53"], kind="multi_label")
