"""Counted FLOPs against formulas, and counting against not counting."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from gigakit.engine.flops import flop_counter, is_counted
from gigakit.nn.attention.dilated import DilatedAttention
from gigakit.nn.attention.full import FullAttention
from gigakit.nn.backbones.longnet import LongNet

BATCH, HEADS, DIM = 2, 4, 16
VARIANTS = {
    "full": (FullAttention, {}),
    "dilated": (DilatedAttention, {"segment_lengths": [8, 16, 64], "dilation_ratios": [1, 2, 4]}),
}


def counted(work):
    with flop_counter() as counter:
        result = work()
    return counter.get_total_flops(), result


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length", [5, 13, 32, 50])
@pytest.mark.parametrize("variant", VARIANTS)
def test_attention_counts_alike_on_flash_and_math(variant, length, dtype):
    kind, arguments = VARIANTS[variant]
    expected = BATCH * kind(**arguments).flops(length, HEADS, DIM)
    kept = 2.0 if kind is FullAttention else 2.5
    for backend, backward in (("math", kept), ("flash", 2.5)):
        q, k, v = torch.randn(3, BATCH, length, HEADS, DIM, dtype=dtype).requires_grad_().unbind()
        attention = kind(**arguments, backend=backend)
        flops, out = counted(lambda: attention(q, k, v))  # noqa: B023
        assert flops == expected, backend
        flops, _ = counted(out.float().sum().backward)
        assert flops == backward * expected, backend


def test_attention_on_padded_slides_is_counted_slide_by_slide():
    attention = FullAttention(backend="flash")
    q = torch.randn(2, 20, HEADS, DIM)
    padding = torch.arange(20)[None] >= torch.tensor([20, 7])[:, None]
    flops, _ = counted(lambda: attention(q, q, q, key_padding_mask=padding))
    assert flops == sum(attention.flops(length, HEADS, DIM) for length in (20, 7))


def test_a_whole_encoder_costs_its_matmuls():
    width, depth, length, features = 32, 2, 24, 12
    model = LongNet(input_dim=features, width=width, depth=depth, heads=2, dropout=0.0)
    grid = torch.rand(1, length, 2, dtype=torch.float64)
    out = []
    forward, _ = counted(lambda: out.append(model(torch.randn(1, length, features), grid)))
    tokens = length + 1
    attention = model.attention.flops(tokens, 2, width // 2)
    # four projections and two layers of four times the width
    linear = 2 * tokens * width * width * (4 + 8)
    embed = 2 * length * features * width
    assert forward == embed + depth * (linear + attention)
    backward, _ = counted(lambda: out[0].sum().backward())
    # the input features have no gradient; only the tokens reach the embedding's weights
    assert backward == embed + depth * (2 * linear + 2.5 * attention)


def test_work_done_again_counts_again():
    block = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
    x = torch.randn(5, 8, requires_grad=True)
    once, _ = counted(lambda: block(x).sum().backward())
    again, _ = counted(lambda: checkpoint(block, x, use_reentrant=False).sum().backward())
    forward = 2 * 5 * (8 * 32 + 32 * 8)
    assert once == 3 * forward
    # the last layer's output is needed by nothing, so torch stops before it
    assert once < again <= once + forward


def test_few_steps_are_counted():
    counted_steps = [step for step in range(1, 100_001) if is_counted(step)]
    assert counted_steps[:12] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]
    assert counted_steps[12] == 3072
    assert len(counted_steps) < 110
