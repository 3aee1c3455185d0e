"""Compiled blocks compute what they computed before, with and without what is around them."""

from __future__ import annotations

import copy
import shutil

import pytest
import torch

from gigakit.engine.activation_checkpointing import blocks_of, checkpoint_activations
from gigakit.engine.checkpoint import find_resume, load_checkpoint
from gigakit.engine.compiled_blocks import compile_blocks
from gigakit.engine.flops import flop_counter
from gigakit.engine.train import train
from gigakit.registry import OBJECTIVES

pytestmark = [
    pytest.mark.skipif(
        shutil.which("c++") is None and shutil.which("g++") is None,
        reason="there is no C++ compiler",
    ),
    # torch's own look at tensors while it compiles
    pytest.mark.filterwarnings("ignore:The .grad attribute"),
]


def build():
    torch.manual_seed(0)
    return OBJECTIVES.build(
        {
            "type": "SelfDistillation",
            "encoder": {
                "type": "VisionTransformer", "image_size": 32, "patch_size": 16, "width": 8,
                "depth": 1, "heads": 2, "layer_scale": 0.1, "drop_path": 0.5,
            },
            "head": {"type": "DinoHead", "prototypes": 6, "hidden": 8, "bottleneck": 4},
            "losses": [{"type": "DinoLoss"}],
        }
    ).train()  # fmt: skip


def batch():
    generator = torch.Generator().manual_seed(1)
    return {
        "global_crops": torch.randn(2, 4, 3, 32, 32, generator=generator),
        "local_crops": torch.randn(2, 4, 3, 16, 16, generator=generator),
    }


def step(model):
    torch.manual_seed(2)
    loss = sum(model(**batch(), mode="loss").values())
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None]


def test_losses_in_a_list_are_no_blocks():
    names = {type(block).__name__ for block in blocks_of(build())}
    assert names == {"VitBlock"}
    assert len(blocks_of(build())) == 2


@pytest.mark.parametrize("checkpointed", [False, True])
def test_a_compiled_step_is_the_same(checkpointed):
    torch._dynamo.reset()
    plain = build()
    compiled = copy.deepcopy(plain)
    if checkpointed:
        checkpoint_activations(compiled)
    assert compile_blocks(compiled, backend="aot_eager") == 2
    assert list(compiled.state_dict()) == list(plain.state_dict())
    torch._dynamo.utils.counters.clear()
    plain_state = copy.deepcopy(plain.state_dict())
    expected = step(plain)
    # the first step of a run is counted; that must not keep later ones from being compiled
    with flop_counter() as counted:
        step(compiled)
    compiled.zero_grad()
    compiled.load_state_dict(plain_state)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 0
    found = step(compiled)
    # two kinds of step: the student's and the teacher's
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-6)
    for mine, theirs in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    with flop_counter() as counter:
        step(plain)
    if not checkpointed:
        assert counted.get_total_flops() == counter.get_total_flops()


def test_blocks_are_compiled_whole_and_once_however_many_patches_are_masked():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    model = build()
    compile_blocks(model, backend="aot_eager")
    views = list(batch().values())
    graphs = set()
    for masked in range(2, 6):
        read = [torch.arange(masked), torch.arange(0)]
        tokens = model.student.encoder.forward_views([v.flatten(0, 1) for v in views], None, read)
        assert tokens[0].patches.shape == (masked, 8)
        sum(part.sum() for each in tokens for part in (each.cls, each.patches)).backward()
        graphs.add(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs == {1}
    assert not torch._dynamo.utils.counters["graph_break"]


def test_a_run_compiles_its_blocks_and_ends_alike(toy, tmp_path):
    """With the default backend, whose C++ takes a second a kernel: on the smallest of blocks."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    weights = []
    for folder, hooks in (("plain", []), ("compiled", [{"type": "CompileBlocksHook"}])):
        config = toy.config(
            custom_hooks=hooks, train_cfg__max_steps=3, model={"type": "ToyObjective", "dropout": 0}
        )
        train(config, work_dir=tmp_path / folder)
        state = load_checkpoint(find_resume(tmp_path / folder))["state_dict"]
        weights.append([state[name] for name in sorted(state)])
        assert bool(torch._dynamo.utils.counters["stats"]["unique_graphs"]) == bool(hooks)
    torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-6)
