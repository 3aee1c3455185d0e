"""The formulas of the memory table: parameters to the number, kept tensors to a few per cent."""

import functools
import sys

import pytest
import torch

from gigakit.nn.attention.full import FullAttention
from gigakit.nn.vit_blocks import VitBlock
from gigakit.registry import OBJECTIVES


@pytest.fixture
def bench(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "tools/bench"))
    import tile_memory

    yield tile_memory
    for name in ("tile_memory", "tile_pretraining", "published_step", "measure"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["ti", "s", "b", "l", "g"])
def test_parameters_are_those_of_the_networks(bench, name):
    size = bench.SIZES[name]
    heads = {"ti": 3, "s": 6, "b": 12, "l": 16, "g": 24}[name]
    with torch.device("meta"):
        model = OBJECTIVES.build(
            {
                "type": "SelfDistillation",
                "encoder": {
                    "type": "VisionTransformer", "width": size.width, "depth": size.depth,
                    "heads": heads, "layer_scale": 1e-5,
                    "ffn": "swiglu" if size.gated else "mlp",
                    "mlp_ratio": size.hidden / size.width,
                },
                "head": {"type": "DinoHead", "prototypes": 100},
                "losses": [{"type": "DinoLoss"}],
            }
        )  # fmt: skip
    counted = sum(p.numel() for p in model.student.parameters())
    assert counted == size.parameters + bench.head_parameters(size.width, 100)


@pytest.mark.parametrize("gated", [False, True])
def test_a_block_keeps_what_the_formula_says(bench, monkeypatch, gated):
    # the hooks that count are no checkpointing
    monkeypatch.setattr("gigakit.nn.recomputed._others_decide", lambda: False)
    size = bench.Size(64, 1, 256, gated)
    step = bench.Step(4, 100, 0, bf16=False, checkpointed=False)
    block = VitBlock(
        64, 1, 256, FullAttention(backend="flash"), gated=gated, layer_scale=0.1, drop_path=0.3
    ).train()
    tokens = sum(count * length for count, length in step.samples)
    kept = {}

    def keep(own, tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            # held, so that no other takes its place
            kept[storage.data_ptr()] = storage
        return tensor

    own = {p.untyped_storage().data_ptr() for p in block.parameters()}
    x = torch.randn(1, tokens, 64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(functools.partial(keep, own), lambda t: t):
        out = block(x, tuple(step.samples))
    assert out.requires_grad
    found = sum(storage.nbytes() for storage in kept.values())
    outside = 3 * 4 * tokens * 64
    assert found == pytest.approx(bench.activations(size, step) - outside, rel=0.05)
