"""Several processes: they equal one, share its checkpoints, and decide together."""

import signal
import struct

import pytest
import torch

from gigakit.core.errors import CheckpointError, ConfigError
from gigakit.engine.checkpoint import (
    find_damage,
    find_resume,
    list_checkpoints,
    load_checkpoint,
)
from gigakit.engine.export import export_weights
from gigakit.engine.init_from import init_from
from gigakit.engine.train import train
from gigakit.nn.weights import read_weights

SHARDED = {"model_wrapper_cfg": {"type": "FullyShardedModel", "activation_checkpointing": True}}


@pytest.fixture(scope="module")
def sharded(toy_process, tmp_path_factory):
    """Return the folder of an uninterrupted run of two processes that share the model."""
    folder = tmp_path_factory.mktemp("sharded") / "run"
    assert toy_process(folder, processes=2, batch_size=2, **SHARDED) == [0, 0]
    return folder


def largest_difference(one, two):
    assert one.keys() == two.keys()
    return max(float((one[name] - two[name]).abs().max()) for name in one)


def test_two_processes_equal_one(toy, toy_process, tmp_path):
    two = {"batch_size": 2, "model__dropout": 0.0}
    assert toy_process(tmp_path / "two", processes=2, **two) == [0, 0]
    assert toy_process(tmp_path / "shards", processes=2, **two, **SHARDED) == [0, 0]
    train(toy.config(batch_size=4, model__dropout=0.0), work_dir=tmp_path / "one")
    expected = toy.logged(tmp_path / "one")
    for name in ("two", "shards"):
        found = toy.logged(tmp_path / name)
        assert [list(row) for row in found] == [list(row) for row in expected]
        for row, wanted in zip(found, expected, strict=True):
            for tag in wanted.keys() - {tag for tag in wanted if tag.startswith("perf/")}:
                assert row[tag] == pytest.approx(wanted[tag], rel=1e-5), (name, tag)


def test_shards_equal_copies_with_accumulation_dropout_and_recomputation(toy_process, tmp_path):
    same = {"batch_size": 1, "optim_wrapper__accumulative_counts": 2, "processes": 2}
    assert toy_process(tmp_path / "copies", **same) == [0, 0]
    assert toy_process(tmp_path / "shards", **same, **SHARDED) == [0, 0]
    copies, shards = (
        load_checkpoint(list_checkpoints(tmp_path / name)[0]) for name in ("copies", "shards")
    )
    assert largest_difference(copies["state_dict"], shards["state_dict"]) < 1e-6


def test_shards_equal_copies_on_packed_crops_with_stochastic_depth(toy_process, tmp_path):
    model = {"type": "ToyViews", "drop_path": 0.5}
    same = {"batch_size": 3, "processes": 2, "model": model, "epochs": 2}
    assert toy_process(tmp_path / "copies", **same) == [0, 0]
    assert toy_process(tmp_path / "shards", **same, **SHARDED) == [0, 0]
    copies, shards = (
        load_checkpoint(list_checkpoints(tmp_path / name)[0])["state_dict"]
        for name in ("copies", "shards")
    )
    for weights in (copies, shards):
        # the keys' bias has no gradient but rounding, of which AdamW makes whole steps
        for name in [name for name in weights if name.endswith("qkv.bias")]:
            weights[name] = weights[name].unflatten(0, (3, -1))[[0, 2]]
    assert largest_difference(copies, shards) < 1e-5


def test_recomputed_activations_change_nothing(toy, finished, tmp_path):
    # alone, the wrapper is not used, but what it asks of the model is
    train(toy.config(**SHARDED), work_dir=tmp_path)
    assert toy.digest(tmp_path) == toy.digest(finished)


def test_a_run_of_shards_is_stopped_and_resumed_exactly(toy, toy_process, sharded, tmp_path):
    same = {"processes": 2, "batch_size": 2, **SHARDED}
    codes = toy_process(tmp_path, **same, signal_at=6, number=int(signal.SIGTERM), rank=1)
    assert codes == [143, 143]
    assert list_checkpoints(tmp_path)[0].name == "step-00000006"
    assert toy_process(tmp_path, **same, resume=True) == [0, 0]
    assert toy.digest(tmp_path) == toy.digest(sharded)


def test_three_processes_are_resumed_exactly(toy, toy_process, tmp_path):
    """Sums of three depend on how gradients are grouped, which torch would change at a resume."""
    same = {"processes": 3, "batch_size": 1}
    assert toy_process(tmp_path / "whole", **same) == [0, 0, 0]
    stopped = {"signal_at": 6, "number": int(signal.SIGTERM)}
    assert toy_process(tmp_path / "stopped", **same, **stopped) == [143] * 3
    assert toy_process(tmp_path / "stopped", **same, resume=True) == [0, 0, 0]
    assert toy.digest(tmp_path / "whole") == toy.digest(tmp_path / "stopped")


def test_a_sharded_model_starts_from_whole_weights(toy, toy_process, tmp_path):
    weights = toy.ToyObjective().state_dict()
    torch.save(weights, tmp_path / "w.pth")
    same = {"processes": 2, "batch_size": 2, "init_from": str(tmp_path / "w.pth"), **SHARDED}
    still = {"train_cfg__max_steps": 1, "optim_wrapper__optimizer__lr": 0.0}
    assert toy_process(tmp_path / "run", **same, **still) == [0, 0]
    found = load_checkpoint(list_checkpoints(tmp_path / "run")[0])["state_dict"]
    assert largest_difference(found, weights) == 0.0


def test_what_a_kill_left_of_shards_is_cleared_away(toy, toy_process, sharded, tmp_path):
    same = {"processes": 2, "batch_size": 2, **SHARDED}
    stopped = {"signal_at": 6, "number": int(signal.SIGTERM)}
    assert toy_process(tmp_path, **same, **stopped) == [143, 143]
    # one write cut short, and one old checkpoint whose removal was
    for name in (".step-00000008.part", ".step-00000004.old.part"):
        left = tmp_path / "checkpoints" / name
        left.mkdir()
        (left / "__0_0.distcp").write_bytes(b"half")
    assert toy_process(tmp_path, **same, resume=True) == [0, 0]
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [path.name for path in reversed(list_checkpoints(tmp_path))]
    assert toy.digest(tmp_path) == toy.digest(sharded)


def test_shards_are_resumed_by_copies_and_copies_by_shards(toy, toy_process, sharded, tmp_path):
    same = {"processes": 2, "batch_size": 2}
    for name, first, then in (("a", SHARDED, {}), ("b", {}, SHARDED)):
        stopped = {"signal_at": 6, "number": int(signal.SIGTERM)}
        assert toy_process(tmp_path / name, **same, **first, **stopped) == [143, 143]
        assert toy_process(tmp_path / name, **same, **then, resume=True) == [0, 0]
        resumed = load_checkpoint(list_checkpoints(tmp_path / name)[0])
        whole = load_checkpoint(list_checkpoints(sharded)[0])
        assert resumed["meta"]["iter"] == whole["meta"]["iter"]
        assert largest_difference(resumed["state_dict"], whole["state_dict"]) < 1e-6


def test_shards_hold_a_part_each_and_give_whole_weights(toy, sharded, tmp_path):
    newest = list_checkpoints(sharded)[0]
    sizes = [path.stat().st_size for path in sorted(newest.glob("*.distcp"))]
    assert len(sizes) == 2
    assert max(sizes) < 1.5 * min(sizes)
    # the class that fully_shard puts before it is no news to the user
    assert "INFO - model       ToyObjective, " in (sharded / "train.log").read_text()
    model = toy.ToyObjective()
    assert init_from(model, newest).fraction == 1.0
    weights = load_checkpoint(newest)["state_dict"]
    exported = export_weights(sharded, tmp_path / "weights.safetensors", part="blocks")
    assert read_weights(exported.path).keys() == {
        name.removeprefix("blocks.") for name in weights if name.startswith("blocks.")
    }
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def flip(path):
    """Flip a bit of the index, or of the first tensor or entry in torch's zip format."""
    data = bytearray(path.read_bytes())
    place = 40
    if data.startswith(b"PK"):
        record = b"/data/0" if b"/data/0" in data else b"/data.pkl"
        header = data.rindex(b"PK\x03\x04", 0, data.index(record))
        name, extra = struct.unpack_from("<HH", data, header + 26)
        place = header + 30 + name + extra
    data[place] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("file", ["state.pth", ".metadata", "__0_0.distcp", "__1_0.distcp"])
@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_a_damaged_folder_is_noticed_and_the_one_before_used(sharded, tmp_path, file, how):
    import shutil

    run = tmp_path / "run"
    shutil.copytree(sharded, run)
    newest, before = list_checkpoints(run)
    path = newest / file
    if how == "flipped":
        flip(path)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    else:
        path.unlink()
    damage = find_damage(newest)
    assert damage is not None
    assert file in damage or "damaged" in damage
    assert find_resume(run) == before
    with pytest.raises(CheckpointError, match=r"damaged|no such file"):
        load_checkpoint(newest)


def test_an_index_that_would_run_code_is_refused(tmp_path):
    import pickle

    from gigakit.engine.shards import list_tensors

    class Unsafe:
        def __reduce__(self):
            return struct.calcsize, ("i",)

    (tmp_path / ".metadata").write_bytes(pickle.dumps(Unsafe()))
    with pytest.raises(CheckpointError, match=r"would need code to load.*_struct\.calcsize"):
        list_tensors(tmp_path)


def test_an_index_may_name_members_of_one_enumeration_as_older_pythons_do(tmp_path):
    import pickle

    from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING, Metadata

    from gigakit.engine.shards import _PlainUnpickler

    class Member:
        def __init__(self, owner, name):
            self.found = owner, name

        def __reduce__(self):
            return getattr, self.found

    def read(owner, name):
        path = tmp_path / ".metadata"
        path.write_bytes(pickle.dumps(Member(owner, name)))
        with path.open("rb") as stream:
            return _PlainUnpickler(stream, path).load()

    wanted = _MEM_FORMAT_ENCODING.TORCH_CHANNELS_LAST
    assert read(_MEM_FORMAT_ENCODING, "TORCH_CHANNELS_LAST") is wanted
    with pytest.raises(CheckpointError, match="would need code to load"):
        read(Metadata, "__init__")


def test_one_signalled_rank_stops_both_at_the_same_step(toy_process, tmp_path):
    stopped = {"signal_at": 6, "number": int(signal.SIGTERM), "rank": 1}
    assert toy_process(tmp_path, processes=2, batch_size=2, **stopped) == [143, 143]
    assert list_checkpoints(tmp_path)[0].name == "step-00000006.pth"


def test_one_rank_that_ends_training_ends_it_for_both(toy_process, tmp_path):
    hook = {"type": "EndTrainingHook", "step": 6, "rank": 1}
    assert toy_process(tmp_path, processes=2, batch_size=2, hooks=[hook]) == [0, 0]
    assert list_checkpoints(tmp_path)[0].name == "step-00000006.pth"


@pytest.mark.parametrize("wrapper", [{}, SHARDED], ids=["copies", "shards"])
def test_a_loss_of_one_rank_makes_both_skip_and_is_named(toy, toy_process, tmp_path, wrapper):
    # draws 20 to 23 are step 6: rank 1 has the odd ones
    bad = {"train_dataloader__dataset__bad_draws": [23]}
    assert toy_process(tmp_path, processes=2, batch_size=2, **bad, **wrapper) == [0, 0]
    assert toy.logged(tmp_path)[-2]["train/skipped_steps"] == 1
    (line,) = [
        line for line in (tmp_path / "train.log").read_text().splitlines() if "skipped, 1" in line
    ]
    assert "step 6 is skipped, 1 so far: rank 1, draws 21, 23: loss nan; gradient norm nan" in line
    assert "first in" in line
    state = load_checkpoint(list_checkpoints(tmp_path)[0])["state_dict"]
    assert all(value.isfinite().all() for value in state.values())


def test_a_model_without_blocks_cannot_be_sharded():
    from gigakit.engine.activation_checkpointing import blocks_of

    with pytest.raises(ConfigError, match="Linear has no list of blocks"):
        blocks_of(torch.nn.Linear(2, 2))


def test_blocks_are_the_outermost_lists():
    from gigakit.engine.activation_checkpointing import blocks_of

    inner = torch.nn.ModuleList([torch.nn.Linear(2, 2)])
    block = torch.nn.Sequential(inner)
    model = torch.nn.ModuleDict({"a": torch.nn.ModuleList([block, block]), "b": inner})
    assert blocks_of(model) == [block, block, inner[0]]


def test_a_list_without_parameters_holds_no_blocks():
    from gigakit.engine.activation_checkpointing import blocks_of

    losses = torch.nn.ModuleList([torch.nn.MSELoss()])
    blocks = torch.nn.ModuleList([torch.nn.Linear(2, 2)])
    assert blocks_of(torch.nn.ModuleDict({"losses": losses, "net": blocks})) == [blocks[0]]
