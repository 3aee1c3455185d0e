"""A step of tile-encoder pretraining beside the published way of computing it, on this CPU.

DINO + iBOT + KoLeo, shared head, centering, on random crops: the step alone, without a loader. The
ways take turns in one process, one step unmeasured and one measured each; each trains weights of
its own, from the same start. Masks change from step to step.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import itertools
import os
import statistics
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from measure import in_turns, memory_as, once
from published_step import PublishedStep
from torch.profiler import ProfilerActivity, profile

from gigakit.data.collate.collate_views import filled_up, masked_patches
from gigakit.engine.compiled_blocks import compile_blocks
from gigakit.engine.matmul_peak import best_product_seconds
from gigakit.engine.optim_wrappers.grouped_constructor import GroupedOptimWrapperConstructor
from gigakit.engine.resources import peak_memory_mb
from gigakit.registry import MASKINGS, OBJECTIVES

# width, depth, heads
SIZES = {"ti": (192, 12, 3), "s": (384, 12, 6), "b": (768, 12, 12)}
PATCH = 16
# the recipes' ``collate_fn.multiple_of``
ROWS = 32
BATCHES = 7
# what FLOPs are counted of; attention by torch's own kernel is one of them, softmax included
PRODUCTS = {
    "aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm",
    "aten::mkldnn_convolution", "aten::_slow_conv2d_forward", "aten::convolution_backward",
    "aten::_scaled_dot_product_flash_attention_for_cpu",
    "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
}  # fmt: skip


class Way(NamedTuple):
    """How freed memory is handed out (``measure.memory_as``), and what makes the step."""

    memory: str
    build: Callable[[], Callable[[], None]]


def build(size: str, prototypes: int, drop_path: float) -> torch.nn.Module:
    """Return the objective of a size, seeded."""
    width, depth, heads = SIZES[size]
    torch.manual_seed(0)
    return OBJECTIVES.build(
        {
            "type": "SelfDistillation",
            "encoder": {
                "type": "VisionTransformer", "width": width, "depth": depth, "heads": heads,
                "layer_scale": 1e-5, "drop_path": drop_path, "patch_size": PATCH,
            },
            "head": {"type": "DinoHead", "prototypes": prototypes},
            "losses": [{"type": name} for name in ("DinoLoss", "IbotLoss", "KoLeoLoss")],
            "targets": {"type": "Centering"},
        }
    ).train()  # fmt: skip


def random_batches(
    images: int, side: int, local_side: int, local_crops: int, *, count: int
) -> list[dict]:
    """Return batches of crops of noise, one for all, each with block masks of its own."""
    generator = torch.Generator().manual_seed(0)
    grid = side // PATCH
    masking = MASKINGS.build({"type": "BlockMasks"})
    crops = {
        "global_crops": torch.randn(2, images, 3, side, side, generator=generator),
        "local_crops": torch.randn(
            local_crops, images, 3, local_side, local_side, generator=generator
        ),
    }
    drawn = (
        masking.draw(2 * images, grid, grid, np.random.default_rng(seed)) for seed in range(count)
    )
    return [{**crops, **masked_patches(torch.from_numpy(masks))} for masks in drawn]


class Gigakit:
    """The toolkit's step: its optimiser wrapper, its objective, its teacher."""

    def __init__(self, model: torch.nn.Module, precision: str) -> None:
        self.model = model
        self.wrapper = GroupedOptimWrapperConstructor(
            {
                "type": "GuardedOptimWrapper",
                "optimizer": {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.04},
                "clip_grad": {"max_norm": 3.0, "parts": ["student.encoder", "student.head"]},
                "precision": precision,
            },
            {"rule": "dinov2", "layer_decay": 0.9, "layer_decay_in": ["student.encoder"]},
        )(model)

    def __call__(self, batch: dict) -> None:
        """Make one step, of as many masked patches as the recipes' batches have."""
        batch = {**batch, **filled_up(batch, -(-len(batch["mask_indices"]) // ROWS) * ROWS)}
        with self.wrapper.optim_context(self.model):
            losses = self.model(**batch, mode="loss")
            loss = sum(losses.values())
        self.wrapper.update_params(loss)
        self.model.follow_student()


@contextlib.contextmanager
def kernels(precision: str) -> Iterator[None]:
    """Choose torch's kernels of float32 products, as ``FastMatmulHook`` does."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def nominal_flops(size: str, arguments: argparse.Namespace, masked: int) -> float:
    """Return the FLOPs of a step: 2 a multiply-add, backward twice the forward pass."""
    width, depth, _ = SIZES[size]

    def forward(side: int) -> float:
        patches = (side // PATCH) ** 2
        tokens = patches + 1
        layer = (8 + 16) * width**2 * tokens + 4 * tokens**2 * width
        return 2 * 3 * PATCH**2 * width * patches + depth * layer

    one, other = forward(arguments.side), forward(arguments.local_side)
    kept = 1.0 - arguments.drop_path
    images = arguments.images
    head = 2 * (width * 2048 + 2048 * 2048 + 2048 * 256 + 256 * arguments.prototypes)
    rows = 2 * images + masked
    teacher = images * 2 * one + rows * head
    student = images * (2 * one + arguments.local_crops * other) * kept
    return teacher + 3 * (student + (rows + images * arguments.local_crops) * head)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="s", choices=SIZES)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--prototypes", type=int, default=65_536)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--local-side", type=int, default=96)
    parser.add_argument("--local-crops", type=int, default=8)
    parser.add_argument("--drop-path", type=float, default=0.3)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compiled", action="store_true",
                        help="with compiled blocks too; compiling takes minutes")  # fmt: skip
    parser.add_argument("--alone", choices=("published", "gigakit fp32", "gigakit bf16",
                        "gigakit fp32, memory returned", "gigakit bf16, memory returned"),
                        help="seven steps of this way alone: time, peak memory")  # fmt: skip
    return parser.parse_args()


def ways_of(
    arguments: argparse.Namespace, model: torch.nn.Module, batches: list[dict]
) -> dict[str, Way]:
    """Return the ways to make a step, by name."""
    # one way alone needs no weights beside its own
    own = (lambda: model) if arguments.alone else (lambda: copy.deepcopy(model))

    def published(switch: str) -> Callable[[], None]:
        return stepping(PublishedStep(own(), drop_path=arguments.drop_path, lr=1e-3), switch)

    def ours(precision: str, *, compiled: bool = False) -> Callable[[], None]:
        network = own()
        if compiled:
            compile_blocks(network)
        return stepping(Gigakit(network, precision), "medium")

    def stepping(step: Callable[[dict], object], switch: str) -> Callable[[], None]:
        order = itertools.cycle(batches)

        def run() -> None:
            with kernels(switch):
                step(next(order))

        return run

    ways = {
        "published": Way("by glibc", lambda: published("highest")),
        "published, same switch": Way("by glibc", lambda: published("medium")),
        "published, same switch and memory": Way("kept", lambda: published("medium")),
        "gigakit fp32": Way("kept", lambda: ours("fp32")),
        "gigakit bf16": Way("kept", lambda: ours("bf16")),
        "gigakit fp32, memory returned": Way("returned", lambda: ours("fp32")),
        "gigakit bf16, memory returned": Way("returned", lambda: ours("bf16")),
    }
    if arguments.compiled:
        ways["gigakit fp32, compiled blocks"] = Way("kept", lambda: ours("fp32", compiled=True))
        ways["gigakit bf16, compiled blocks"] = Way("kept", lambda: ours("bf16", compiled=True))
    return ways


def seconds_in_products(step: Callable[[], None]) -> float:
    """Return what a step spends in matrix products and convolutions, the median of three."""
    # else it tells of each start and stop
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    taken = []
    for _ in range(3):
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            step()
        events = [event for event in seen.key_averages() if event.key in PRODUCTS]
        taken.append(sum(event.self_cpu_time_total for event in events) / 1e6)
    return statistics.median(taken)


def show_alone(name: str, way: Way) -> None:
    """Print what a way takes in a process that does nothing else."""
    memory_as(way.memory)
    step = way.build()
    step()
    times, peak = once(lambda: [step() for _ in range(BATCHES)])
    print(
        f"{name}: {times.wall / BATCHES:.2f} s and {times.cpu / BATCHES:.2f} "
        f"CPU s a step, {peak:.0f} MiB above what lies there between steps"
    )
    print(f"largest resident set of the process: {peak_memory_mb():.0f} MiB")


def show_in_turns(ways: dict[str, Way], flops: float, images: int, turns: int) -> None:
    """Print the ways' times, taken in turns, beside the floor."""
    with kernels("medium"):
        peak = 2 * 2048**3 / best_product_seconds(torch.randn(2048, 2048))
    steps = {name: way.build() for name, way in ways.items()}

    def warm(name: str) -> None:
        memory_as(ways[name].memory)
        steps[name]()

    times = in_turns(steps, turns=turns, before=warm)
    print(
        f"{flops / 1e9:.0f} GFLOP a step of {images} images; the floor at this machine's "
        f"float32 matmul rate, {peak / 1e9:.0f} GFLOP/s, is {flops / peak:.2f} s"
    )
    print(
        "| way | s/step | CPU s/step | in products | images/s | GFLOP/s | of the peak "
        "| published / this |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    base = times["published"]
    for name, (cpu, wall) in times.items():
        warm(name)
        print(
            f"| {name} | {wall:.2f} | {cpu:.2f} | {seconds_in_products(steps[name]):.2f} | "
            f"{images / wall:.2f} | {flops / wall / 1e9:.0f} | {flops / wall / peak:.0%} | "
            f"{base.wall / wall:.2f} (CPU {base.cpu / cpu:.2f}) |"
        )


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    model = build(arguments.size, arguments.prototypes, arguments.drop_path)
    batches = random_batches(
        arguments.images,
        arguments.side,
        arguments.local_side,
        arguments.local_crops,
        count=BATCHES,
    )
    ways = ways_of(arguments, model, batches)
    if arguments.alone:
        show_alone(arguments.alone, ways[arguments.alone])
        return
    flops = nominal_flops(arguments.size, arguments, len(batches[0]["mask_indices"]))
    show_in_turns(ways, flops, arguments.images, arguments.turns)


if __name__ == "__main__":
    main()
