"""What a run imports late: a second of each process that is forked without it."""

LATE_IMPORTS = (
    "gigakit.engine.launch", "torch._dynamo", "torch.utils.tensorboard", "matplotlib.figure",
    "torch.distributed.fsdp",
)  # fmt: skip
