"""What every objective must hold; an objective's test class inherits this.

The subclass gives ``config`` (the smallest objective that has everything random switched on),
``recipe``, ``changes`` to it, and a fixture ``data`` with the changes that point it to data.
``still`` are changes after which the objective's own draws are the only randomness left: no
dropout, no augmentation; a fixture ``drawn`` adds what the test of these draws needs. Further
attributes say what is different where a loss depends on how a batch is cut, and which kills are
tried where another objective's test tries them all.
"""

from __future__ import annotations

import copy
import functools
import json
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from resuming.comparison import differences, left_by
from resuming.processes import SIGKILLED, Order, Run, start
from resuming.recipes import resolved
from torch.utils.data import DataLoader

from gigakit.engine.checkpoint import checkpoint_step, find_resume
from gigakit.registry import DATASETS, FUNCTIONS, OBJECTIVES, SAMPLERS

STEPS, INTERVAL = 14, 3
CHECKPOINTS = [*range(INTERVAL, STEPS, INTERVAL), STEPS]
# the end cuts an epoch, and each step takes two batches
SHORT = {
    "train_cfg.epochs": 9,
    "train_cfg.max_steps": STEPS,
    "train_cfg.val_interval_steps": 2 * INTERVAL,
    "train_dataloader.batch_size": 2,
    "optim_wrapper.accumulative_counts": 2,
    "default_hooks.checkpoint.interval_steps": INTERVAL,
    "default_hooks.checkpoint.keep": 2,
    "default_hooks.scalars.interval_steps": 4,
    "randomness.seed": 3,
}
WRAPPERS = ("DataParallelModel", "FullyShardedModel")
# where a run is killed, and the loader's workers of each of its parts
KILLS = (
    ("anywhere", (0, 2)),
    ("anywhere", (2, 0)),
    ("anywhere, and again", (0, 0, 2)),
    ("in the middle of writing a checkpoint", (2, 0)),
    ("before a new checkpoint has its name", (0, 2)),
    ("before the pointer names the new checkpoint", (0, 0)),
    ("before the old checkpoint goes", (0, 2)),
)
SEED_NAME = "GIGAKIT_KILL_SEED"
SEED = int(os.environ.get(SEED_NAME, random.SystemRandom().randrange(10**6)))


class ObjectiveContract:
    """Gradients, randomness that follows from seeds alone, and exact resume of killed processes."""

    recipe: str
    config: ClassVar[dict[str, Any]]
    changes: ClassVar[dict[str, Any]] = {}
    still: ClassVar[dict[str, Any]] = {}
    # beside still, what makes losses of parts of a batch add up to that of the whole
    summable: ClassVar[dict[str, Any]] = {}
    # of what two processes share, one makes two batches in turn; or one of twice the size, where
    # a loss compares the samples of a batch
    takes_whole_batches = False
    kills: ClassVar[tuple[tuple[str, tuple[int, ...]], ...]] = KILLS
    killed_wrappers: ClassVar[tuple[str, ...]] = WRAPPERS
    # relative: how far sums of another order may drift in a short run
    rounding = 1e-4
    # absolute, of the weights after it; None where rounding is all the gradient of some
    weights_rounding: float | None = None

    @classmethod
    def pytest_generate_tests(cls, metafunc):
        """Kill where the objective's test says."""
        if "moment" in metafunc.fixturenames:
            metafunc.parametrize(("moment", "workers"), metafunc.cls.kills)
        if "killed_wrapper" in metafunc.fixturenames:
            metafunc.parametrize("killed_wrapper", metafunc.cls.killed_wrappers)

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls) -> dict[str, Any]:
        """Return the changes that point the recipe to data."""
        raise AssertionError("give a fixture 'data'")

    @pytest.fixture(scope="class")
    @classmethod
    def drawn(cls) -> dict[str, Any]:
        """Return what, beside ``still``, leaves a step's draws alone to change its loss."""
        return {"train_dataloader.batch_size": 1}

    @pytest.fixture(scope="class")
    @classmethod
    def values(cls, data):
        """Return the short run that the tests make, as a resolved config."""
        return cls.resolve(data)

    @classmethod
    def resolve(cls, data: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        model = {**copy.deepcopy(cls.config), "_delete_": True}
        return resolved(cls.recipe, {**SHORT, "model": model, **data, **cls.changes, **more})

    def build(self, values, seed=0):
        torch.manual_seed(seed)
        return OBJECTIVES.build(copy.deepcopy(values["model"]))

    def loader(self, values, workers=0):
        """Return the recipe's loader of training data."""
        config = copy.deepcopy(values["train_dataloader"])
        dataset = DATASETS.build(config["dataset"])
        seed = values["randomness"]["seed"]
        collate = dict(config["collate_fn"])
        return DataLoader(
            dataset,
            config["batch_size"],
            sampler=SAMPLERS.build({**config["sampler"], "dataset": dataset, "seed": seed}),
            num_workers=workers,
            collate_fn=functools.partial(FUNCTIONS.get(collate.pop("type")), **collate),
        )

    def loss(self, model, batch, seed=0):
        """Return the loss of one training step, whose own randomness follows from ``seed``."""
        torch.manual_seed(seed)
        losses = model(**model.data_preprocessor(batch, True), mode="loss")
        return model.parse_losses(losses)[0]

    # -- the objective ----------------------------------------------------------------------

    def test_one_step_gives_a_finite_loss_and_gradients_everywhere(self, values):
        model = self.build(values).train()
        loss = self.loss(model, next(iter(self.loader(values))))
        loss.backward()
        assert loss.ndim == 0
        assert loss.isfinite()
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        assert trained
        assert [name for name, p in trained.items() if p.grad is None] == []
        assert [name for name, p in trained.items() if not p.grad.isfinite().all()] == []
        assert any(p.grad.abs().sum() > 0 for p in trained.values())

    def test_the_same_seed_gives_the_same_numbers(self, values):
        def numbers(build_seed, step_seed):
            model = self.build(values, build_seed).train()
            batch = next(iter(self.loader(values)))
            loss = self.loss(model, batch, step_seed)
            loss.backward()
            grads = [p.grad for p in model.parameters() if p.grad is not None]
            return [loss.detach(), *grads]

        once = numbers(0, 0)
        assert list(differences(once, numbers(0, 0))) == []
        assert once[0] != numbers(1, 0)[0]
        # dropout or masks: a step that draws nothing would not test a resume
        assert once[0] != numbers(0, 1)[0]

    # -- randomness -------------------------------------------------------------------------

    def test_augmentation_differs_from_draw_to_draw_whatever_the_worker_count(self, values):
        def views(workers):
            batches = iter(self.loader(values, workers))
            return [next(batches) for _ in range(6)]

        alone, helped = views(0), views(2)
        assert list(differences(alone, helped)) == []
        sampler, dataset = self.loader(values).sampler, self.loader(values).dataset
        index = next(iter(sampler))[0]

        def view(draw):
            # what the network sees, numbers or pixels; seeds and masks differ besides
            tensors = [x for x in dataset[index, draw].values() if torch.is_tensor(x)]
            return [x for x in tensors if x.is_floating_point() or x.dtype == torch.uint8]

        assert list(differences(view(0), view(0))) == []
        assert list(differences(view(0), view(sampler.draws_per_epoch))) != []

    def test_masks_differ_from_draw_to_draw_and_rank_to_rank(self, data, drawn, tmp_path):
        """With weights that stay, only what the objective draws can change the loss."""
        short = {"optim_wrapper.optimizer.lr": 0.0, "train_cfg.max_steps": 4}
        values = self.resolve(data, **{**short, **self.still, **drawn})
        values["param_scheduler"] = None
        rows = {}
        for name, workers, processes in (("alone", 0, 1), ("helped", 2, 1), ("two", 0, 2)):
            changed = copy.deepcopy(values)
            changed["train_dataloader"]["num_workers"] = workers
            notes = tmp_path / f"{name}-notes"
            order = Order(changed, tmp_path / name, notes, counts_calls=False)
            start(order, processes).finish()
            rows[name] = [self.rows(order, rank) for rank in range(processes)]
        assert rows["alone"] == rows["helped"]
        both = [row for rank in rows["two"] for row in rank]
        for seen in ("random", "loss"):
            assert len({str(row[seen]) for row in both}) == len(both) == 8

    def rows(self, order: Order, rank: int = 0) -> list[dict[str, Any]]:
        """Return what the probe noted of each step of a run."""
        lines = (order.notes / f"steps-{rank}.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    # -- exact resume -----------------------------------------------------------------------

    @classmethod
    def order(cls, values, folder: Path, attempt: int, workers: int, **more: Any) -> Order:
        changed = copy.deepcopy(values)
        changed["train_dataloader"]["num_workers"] = workers
        notes = folder.with_name(f"{folder.name}-notes-{attempt}")
        return Order(changed, folder, notes, resume=attempt > 0, **more)

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, values, tmp_path_factory):
        """Return what an uninterrupted run leaves, and its Python calls by worker count."""
        left, calls = [], {}
        for workers in (0, 2):
            folder = tmp_path_factory.mktemp("whole") / "run"
            order = cls.order(values, folder, 0, workers)
            start(order).finish()
            left.append(left_by(folder))
            calls[workers] = int((order.notes / "calls").read_text())
        assert list(differences(*left)) == []
        # a monitor's rows come beside those of training and validation
        rows = [row for row in left[0]["scalars.jsonl"] if "health/feature_std" not in row]
        assert [row["step"] for row in rows] == [*(1, 4, 6, 8, 12, 12, 14, 14)]
        return left[0], calls

    def test_killed_and_resumed_it_ends_bit_identical(
        self, values, whole, tmp_path, moment, workers
    ):
        left, calls = whole
        draw = random.Random(f"{SEED} {moment} {workers}")
        told = f"{moment}, workers {workers}; {SEED_NAME}={SEED} repeats it"
        folder = tmp_path / "run"
        for attempt, count in enumerate(workers):
            last = attempt + 1 == len(workers)
            fault = None if last else _fault(moment, draw, calls[count])
            order = self.order(values, folder, attempt, count, fault=fault)
            resumed = find_resume(folder)
            done = checkpoint_step(resumed) if resumed else 0
            run = start(order)
            codes = run.wait()
            # a resumed run may end before it is killed again
            allowed = [[0]] if last else [[SIGKILLED]] if attempt == 0 else [[0], [SIGKILLED]]
            assert codes in allowed, f"{told}\n{run.stderr()}"
            assert self.read_before(run, values, done) == [], told
            assert self.lost(run) < INTERVAL + 1, told
            if codes == [0]:
                break
        found = list(differences(left, left_by(folder)))
        assert found == [], "\n".join([told, *found[:10]])

    def lost(self, run: Run) -> int:
        """Return how many of the steps that a run had made a resume would make again."""
        log, found = run.order.notes / "steps-0.jsonl", find_resume(run.order.work_dir)
        made = self.rows(run.order)[-1]["step"] if log.is_file() else 0
        return made - (checkpoint_step(found) if found else 0)

    def read_before(self, run: Run, values: Mapping[str, Any], done: int) -> list[int]:
        """Return the draws that a run made and that its first ``done`` steps had consumed."""
        path = run.order.notes / "reads"
        draws = [int(line) for line in path.read_text().split()] if path.is_file() else []
        assert len(draws) == len(set(draws))
        per_step = (
            values["train_dataloader"]["batch_size"]
            * values["optim_wrapper"]["accumulative_counts"]
        )
        return [draw for draw in draws if draw < done * per_step]

    # -- several processes ------------------------------------------------------------------

    @classmethod
    def shared(cls, values, wrapper: str, **optim: Any) -> dict[str, Any]:
        """Return the run of processes that share the model through this wrapper."""
        changed = copy.deepcopy(values)
        changed["model_wrapper_cfg"] = {"type": wrapper}
        changed["optim_wrapper"].update(optim)
        return changed

    def test_two_processes_equal_one(self, data, tmp_path):
        """Without dropout, which is each rank's own: losses, gradient norms and metrics."""
        values = self.resolve(data, **{**self.still, **self.summable})
        whole = copy.deepcopy(values)
        if self.takes_whole_batches:
            whole["optim_wrapper"]["accumulative_counts"] = 1
            whole["train_dataloader"]["batch_size"] *= 2
        one = self.order(whole, tmp_path / "one", 0, 0, counts_calls=False)
        start(one).finish()
        expected = left_by(one.work_dir)
        for wrapper in WRAPPERS:
            # twice the processes, half the batches of each
            half = self.shared(values, wrapper, accumulative_counts=1)
            two = self.order(half, tmp_path / wrapper, 0, 0, counts_calls=False)
            start(two, 2).finish()
            found = left_by(two.work_dir)
            rows = found["scalars.jsonl"], expected["scalars.jsonl"]
            assert [list(row) for row in rows[0]] == [list(row) for row in rows[1]]
            for row, wanted in zip(*rows, strict=True):
                assert row == pytest.approx(wanted, rel=self.rounding, abs=1e-7), wrapper
            self.compare_weights(found["checkpoint"], expected["checkpoint"])

    def compare_weights(self, found: dict[str, Any], expected: dict[str, Any]) -> None:
        """Compare the weights of two checkpoints to rounding."""
        if self.weights_rounding is None:
            return
        one, two = (self.with_gradient(state["state_dict"]) for state in (found, expected))
        assert one.keys() == two.keys()
        apart = {name: float((one[name] - two[name]).abs().max()) for name in one}
        assert {k: v for k, v in apart.items() if v > self.weights_rounding} == {}

    def with_gradient(self, weights: dict[str, Any]) -> dict[str, Any]:
        """Return the weights whose gradient is more than rounding."""
        return weights

    @pytest.fixture(scope="class")
    @classmethod
    def pairs(cls, values, tmp_path_factory):
        """Return what uninterrupted runs of two processes leave, and their calls, by wrapper."""
        found = {}
        for wrapper in WRAPPERS:
            folder = tmp_path_factory.mktemp(wrapper) / "run"
            order = cls.order(cls.shared(values, wrapper), folder, 0, 0)
            start(order, 2).finish()
            found[wrapper] = left_by(folder), int((order.notes / "calls").read_text())
        return found

    def test_a_sharded_model_is_trained_like_a_copied_one(self, pairs):
        """Dropout included; weights may differ where Adam scales up a gradient that is rounding."""
        copied, sharded = (pairs[wrapper][0]["scalars.jsonl"] for wrapper in WRAPPERS)
        assert len(copied) == len(sharded)
        for one, two in zip(copied, sharded, strict=True):
            assert two == pytest.approx(one, rel=self.rounding, abs=1e-7)

    def test_two_processes_killed_and_resumed_end_bit_identical(
        self, values, pairs, tmp_path, killed_wrapper
    ):
        wrapper = killed_wrapper
        left, calls = pairs[wrapper]
        draw = random.Random(f"{SEED} {wrapper}")
        told = f"{wrapper}; {SEED_NAME}={SEED} repeats it"
        folder, changed = tmp_path / "run", self.shared(values, wrapper)
        fault = ("calls", {"number": draw.randrange(1, calls)})
        codes = start(self.order(changed, folder, 0, 0, fault=fault), 2).wait()
        assert SIGKILLED in codes, told
        start(self.order(changed, folder, 1, 0), 2).finish()
        found = list(differences(left, left_by(folder)))
        assert found == [], "\n".join([told, *found[:10]])


def _fault(moment: str, draw: random.Random, calls: int) -> tuple[str, dict[str, Any]]:
    write = draw.randrange(len(CHECKPOINTS))
    if moment.startswith("anywhere"):
        return "calls", {"number": draw.randrange(1, calls)}
    if moment.startswith("in the middle"):
        return "torn", {"occurrence": write, "fraction": draw.random()}
    if moment.startswith("before the old"):
        # two are kept: the third is the first that ends another
        return "remove", {"file": "step-", "occurrence": max(0, write - 2)}
    return "rename", {"file": "step-" if "name" in moment.split() else "last_", "occurrence": write}
