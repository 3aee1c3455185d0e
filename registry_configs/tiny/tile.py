"""The tile recipe in small, for tests and first steps: seconds on a CPU.

Paper   as gigapath_tile, with a narrow and shallow encoder on small crops.
Input   the sample slide, or --set tiles=DIR.
Cost    about 0.2 M parameters, 20 steps, a few seconds.
Expect  that everything runs; nothing is learned in 20 steps.
Run     python tools/train.py registry_configs/tiny/tile.py
"""

_base_ = ["../gigapath_tile.py"]

model = dict(
    encoder=dict(
        image_size=64, width=64, depth=2, heads=2, ffn="mlp", mlp_ratio=4.0, drop_path=0.2, patch_size=16
    ),
    head=dict(prototypes=64, hidden=64, bottleneck=32),
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(views=dict(global_px=64, local_px=32, local_count=2)),
)
val_dataloader = dict(dataset=dict(transform=dict(size_px=64)))
train_cfg = dict(epochs=2, steps_per_epoch=10)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type="CosineSchedule", final=1e-6, warmup_epochs=1, last_layer_frozen_epochs=0),
    dict(type="CosineSchedule", key="weight_decay", final=0.4),
]
sample = {"_delete_": True}
ablation = dict(
    objective=dict(sets=dict(mae={"model": dict(decoder=dict(width=32, depth=1, heads=2))})),
    prototypes=dict(values=[32, 64, 128]),
    ffn=dict(sets=dict(swiglu={"model.encoder.mlp_ratio": 5.25})),
    patch_head=dict(cells=dict(own=dict(prototypes=64, hidden=64, bottleneck=32))),
    views=dict(sets=dict(extended_context={"train_dataloader.dataset.tile_size_px": 112})),
)
ablation_sample = {"_delete_": True}
