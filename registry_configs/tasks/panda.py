"""PANDA: ISUP grade of prostate biopsies, six classes, the slide encoder fine-tuned.

Paper   Prov-GigaPath's released scripts/run_panda.sh: base rate 2e-3, weight decay 0.05, dropout 0.1,
        no stochastic depth, layer decay 0.95, layer 11, 5 epochs, windows of 32 slides, slides up to
        250,000 px, the last epoch's weights. Released split: 7,647 / 954 / 954 slides.
Input   features of GigaPath's tile encoder (1536 wide); a CSV with slide_id, patient_id, split and
        isup_grade (or --set "target.columns=['label']"); --init-from slide_encoder.pth.
Cost    86 M parameters; not measured here. The paper's authors used one A100 of 80 GB.
Expect  the repository publishes no number. gigakit reproduces its parameter groups and rates exactly.
Run     gigakit train tasks/panda --set features=DIR --set labels=labels.csv --init-from FILE
"""

_base_ = ["../_base_/slide_task/fine_tuning.py"]

target = dict(columns=["isup_grade"], kind="classification")
model = dict(
    aggregator=dict(
        encoder=dict(
            attention=dict(segment_lengths=[1024, 4870, 23170, 110217, 524288]),  # to 250,000 px
            drop_path=0.0,
        )
    )
)
optim_wrapper = dict(optimizer=dict(lr=2e-3 * 32 / 256, weight_decay=0.05))
