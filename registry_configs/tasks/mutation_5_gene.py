"""Five genes of lung adenocarcinoma, yes or no each, with the settings of the released code.

Paper   Prov-GigaPath's released finetune/task_configs/mutation_5_gene.yaml with the defaults of its
        finetune/params.py: base rate 4e-3, weight decay 1e-5, 5 epochs, dropout and stochastic depth
        0.1, layer decay 0.95, layer 11; 10 folds of 70 / 10 / 20. For the paper's own settings take
        tasks/luad_5_gene.
Input   features of GigaPath's tile encoder; a CSV with slide_id, patient_id, split and 0 or 1 (empty:
        unknown) for EGFR, FAT1, KRAS, LRP1B and TP53; --init-from slide_encoder.pth.
Cost    86 M parameters; not measured here.
Expect  no number is published for these settings.
Run     gigakit train tasks/mutation_5_gene --set features=DIR --set labels=labels.csv --init-from FILE
"""

_base_ = ["../_base_/slide_task/fine_tuning.py"]

target = dict(columns=["EGFR", "FAT1", "KRAS", "LRP1B", "TP53"], kind="multi_label")
