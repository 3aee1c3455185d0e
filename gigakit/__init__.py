"""gigakit: pretrain, adapt, embed and ablate slide encoders as declarative experiments."""

__version__ = "0.1.0"
