"""The paper's settings of mutation tasks: base rate 2e-3, weight decay 0.01, 20 epochs.

Prov-GigaPath, Methods; one slide a patient, the largest; 10 folds of 70 / 10 / 20. What it leaves
open is as in the released code.
"""

_base_ = ["fine_tuning.py"]

train_dataloader = dict(dataset=dict(slides_of_a_patient="largest"))
val_dataloader = dict(dataset=dict(slides_of_a_patient="largest"))
test_dataloader = dict(dataset=dict(slides_of_a_patient="largest"))
train_cfg = dict(epochs=20)
optim_wrapper = dict(optimizer=dict(lr=2e-3 * 32 / 256, weight_decay=0.01))
