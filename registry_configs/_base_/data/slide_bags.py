"""Labelled slides: feature files, one table of labels, and which slides are for what."""

features = None  # folder of feature files, of gigakit or of other tools
labels = None  # CSV with slide_id, patient_id, label columns and perhaps split
splits = None  # another CSV with slide_id and the split column; None: the table of labels
target = dict(
    columns=None,  # the label columns; of survival the time and the event
    kind=None,  # classification, multi_label, regression or survival; None: told by the values
    patient_column="patient_id",
    split_column="split",  # holds train, val, test, or nothing for a slide that is not used
)

train_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="ResumableSampler", shuffle=True),
    collate_fn=dict(type="pad_bags"),
    dataset=dict(
        type="SlideBags",
        slides_of_a_patient="all",  # or largest
        max_tiles=1_000_000,  # published; longer slides give a random part of their tiles
        shuffle_tiles=True,  # published
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="pad_bags"),
    dataset=dict(
        type="SlideBags",
        slides_of_a_patient="all",
        max_tiles=1_000_000,
        shuffle_tiles_in_evaluation=False,  # published: True
    ),
)
val_evaluator = dict(type="SlideScores", by="patient")
val_cfg = dict(type="ValLoop")
# read once, after training
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="pad_bags"),
    dataset=dict(
        type="SlideBags",
        slides_of_a_patient="all",
        max_tiles=1_000_000,
        shuffle_tiles_in_evaluation=False,
    ),
)
test_evaluator = dict(type="SlideScores", by="patient")
test_cfg = dict(type="TestLoop")
