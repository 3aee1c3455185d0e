"""Counted FLOPs against formulas, and counting against not counting."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from gigakit.engine.flops import flop_counter, is_counted
from gigakit.nn.attention.dilated import DilatedAttention
from gigakit.nn.attention.full import FullAttention
from gigakit.nn.backbones.longnet import LongNet
from gigakit.registry import OBJECTIVES

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


def test_a_step_of_self_distillation_costs_what_it_should():
    """Kept samples alone, both networks, heads on masked patches alone; nothing is computed."""
    images, local, side, small, patch, width, depth = 10, 3, 64, 32, 16, 32, 2
    hidden, bottleneck, prototypes, masked = 24, 8, 40, 17
    with torch.device("meta"):
        model = OBJECTIVES.build(
            {
                "type": "SelfDistillation",
                "encoder": {
                    "type": "VisionTransformer", "image_size": side, "width": width,
                    "depth": depth, "heads": 2, "drop_path": 0.3,
                    "attention": {"type": "FullAttention", "backend": "math"},
                },
                "head": {
                    "type": "DinoHead", "prototypes": prototypes, "hidden": hidden,
                    "bottleneck": bottleneck, "layers": 2,
                },
                "losses": [{"type": "DinoLoss"}, {"type": "IbotLoss"}],
                "targets": {"type": "SinkhornKnopp"},
            }
        ).train()  # fmt: skip
        batch = {
            "global_crops": torch.empty(2, images, 3, side, side),
            "local_crops": torch.empty(local, images, 3, small, small),
            "masks": torch.zeros(2 * images, 16, dtype=torch.bool),
            "mask_indices": torch.zeros(masked, dtype=torch.int64),
            "mask_weights": torch.zeros(masked),
        }
    found, _ = counted(lambda: sum(model(**batch, mode="loss").values()).backward())

    def embed(size):
        return 2 * 3 * patch**2 * width * (size // patch) ** 2

    def blocks(size):
        tokens = (size // patch) ** 2 + 1
        return depth * (24 * width**2 * tokens + 4 * tokens**2 * width)

    head = 2 * (width * hidden + hidden * bottleneck + bottleneck * prototypes)
    rows = 2 * images + masked
    feed_forward = 16 * width**2
    # the last block's is computed for the class tokens and masked patches of all samples alone
    teacher = 2 * images * (embed(side) + blocks(side)) + rows * head
    teacher += (rows - 2 * images * 17) * feed_forward
    # int(20 × 0.7) and int(30 × 0.7) samples; pixels have no gradient
    kept = 14 * blocks(side) + 21 * blocks(small)
    kept += (rows + local * images - 14 * 17 - 21 * 5) * feed_forward
    embedded = 2 * images * embed(side) + local * images * embed(small)
    assert found == teacher + 2 * embedded + 3 * kept + 3 * (rows + local * images) * head


def test_few_steps_are_counted():
    counted_steps = [step for step in range(1, 100_001) if is_counted(step)]
    assert counted_steps[:12] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048]
    assert counted_steps[12] == 3072
    assert len(counted_steps) < 110
