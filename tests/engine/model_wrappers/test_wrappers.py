"""Model wrappers in one process; several processes are in ``test_distributed.py``."""

import pytest
import torch

from gigakit.core.errors import ComponentError, ConfigError
from gigakit.engine.activation_checkpointing import checkpoint_activations
from gigakit.engine.train import train
from gigakit.registry import MODEL_WRAPPERS


@pytest.mark.parametrize("name", ["param_dtype", "reduce_dtype"])
def test_an_unknown_precision_is_refused(toy, name):
    with pytest.raises(ConfigError, match=f"model_wrapper_cfg.{name}: got 'fp16'; give fp32 or"):
        MODEL_WRAPPERS.build(
            {"type": "FullyShardedModel", name: "fp16"}, default_args={"module": toy.ToyObjective()}
        )


def test_one_process_cannot_shard_by_itself(toy):
    with pytest.raises(ConfigError, match="one process has nobody to share the model with"):
        MODEL_WRAPPERS.build(
            {"type": "FullyShardedModel"}, default_args={"module": toy.ToyObjective()}
        )


def test_an_unknown_argument_is_refused(toy):
    with pytest.raises(ComponentError, match="shards"):
        MODEL_WRAPPERS.build(
            {"type": "DataParallelModel", "shards": 2}, default_args={"module": toy.ToyObjective()}
        )


def test_a_process_alone_says_that_it_does_not_use_the_wrapper(toy, tmp_path, capsys):
    sharded = {"type": "FullyShardedModel"}
    train(toy.config(train_cfg__max_steps=1, model_wrapper_cfg=sharded), work_dir=tmp_path)
    assert "warning: FullyShardedModel needs several processes: not used" in capsys.readouterr().err


def test_recomputation_keeps_less_and_gives_the_same_gradients(toy):
    def saved_bytes(model):
        torch.manual_seed(0)
        kept = []

        def keep(tensor):
            kept.append(tensor.numel() * tensor.element_size())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = model(torch.ones(64, 6), mode="loss")["loss"]
        loss.backward()
        return sum(kept), [p.grad for p in model.parameters()]

    torch.manual_seed(1)
    plain = toy.ToyObjective(dropout=0.5)
    recomputed = toy.ToyObjective(dropout=0.5)
    recomputed.load_state_dict(plain.state_dict())
    checkpoint_activations(recomputed)
    assert list(recomputed.state_dict()) == list(plain.state_dict())
    all_bytes, grads = saved_bytes(plain)
    fewer_bytes, same_grads = saved_bytes(recomputed)
    assert fewer_bytes < 0.6 * all_bytes
    assert all(torch.equal(*pair) for pair in zip(grads, same_grads, strict=True))
