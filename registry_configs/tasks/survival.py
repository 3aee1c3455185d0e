"""Survival: attention over tiles and Cox's partial likelihood.

Paper   Ilse et al. 2018 for the attention, Cox 1972 for the loss; no settings of GigaPath's paper.
Input   as tasks/abmil, with the columns time (any unit) and event (1 observed, 0 censored).
Cost    under 1 M parameters; batches of 16 slides, padded to the longest.
Expect  risk sets of 16: the loss compares slides within a batch, never over accumulated ones.
Run     gigakit train tasks/survival --set features=DIR --set labels=labels.csv
"""

_base_ = ["abmil.py"]

target = dict(columns=["time", "event"], kind="survival")
train_dataloader = dict(batch_size=16, dataset=dict(max_tiles=10_000))
