"""Memory of a step of tile-encoder pretraining: measured on this machine, and computed for others.

The measured part holds a formula against the rise of the resident set; the computed part applies
the formula to sizes, devices and ways of sharing that are not at hand.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass
from itertools import pairwise

import torch
from measure import peak_mib
from tile_pretraining import Gigakit, build, kernels, random_batches

from gigakit.core.heap import return_large_blocks
from gigakit.engine.activation_checkpointing import checkpoint_activations

MIB, GIB = 2**20, 2**30
PATCH = 16
_HIDDEN, _BOTTLENECK = 2048, 256
# what a card's runtime and kernels take, and the share of it that an allocator leaves in gaps
_CONTEXT_GIB, _GAPS = 1.0, 0.1


@dataclass(frozen=True)
class Size:
    """A tile encoder; ``gated`` is SwiGLU, whose first layer has ``hidden`` channels."""

    width: int
    depth: int
    hidden: int
    gated: bool = False

    @property
    def block(self) -> int:
        """Parameters of a block: four projections, two layers, norms, biases, LayerScale."""
        inner = self.hidden // 2 if self.gated else self.hidden
        matrices = 4 * self.width**2 + self.width * (self.hidden + inner)
        return matrices + 11 * self.width + self.hidden

    @property
    def parameters(self) -> int:
        """Parameters of the encoder with its mask token."""
        embedding = (3 * PATCH**2 + 1) * self.width + (196 + 1 + 1 + 1) * self.width
        return embedding + self.depth * self.block + 2 * self.width


SIZES = {
    "ti": Size(192, 12, 768),
    "s": Size(384, 12, 1536),
    "b": Size(768, 12, 3072),
    "l": Size(1024, 24, 4096),
    "g": Size(1536, 40, 8192, gated=True),
}


@dataclass(frozen=True)
class Step:
    """A step of one device: 2 global and ``local`` local crops of ``images`` tiles."""

    images: int
    prototypes: int
    masked: int
    bf16: bool
    checkpointed: bool
    drop_path: float = 0.3
    side: int = 224
    local_side: int = 96
    local: int = 8

    @property
    def samples(self) -> list[tuple[int, int]]:
        """Samples, and tokens of each, of global and local crops."""
        return [
            (count * self.images, (side // PATCH) ** 2 + 1)
            for count, side in ((2, self.side), (self.local, self.local_side))
        ]


def head_parameters(width: int, prototypes: int) -> int:
    """Parameters of the projection head, its gain among them."""
    layers = (width, _HIDDEN, _HIDDEN, _BOTTLENECK)
    linear = sum((one + 1) * other for one, other in pairwise(layers))
    return linear + prototypes * (_BOTTLENECK + 1)


def activations(size: Size, step: Step) -> float:
    """Return the bytes that the encoder's forward pass keeps for the backward pass.

    A branch keeps its samples alone. Of width D and an MLP of H hidden channels it keeps: the
    attention the gathered input, its norm, query, key and value, what attention gives, and the
    same once more packed (7 D); the MLP the gathered input, its norm and what goes into the GELU,
    whose output is made again (2 D + H; SwiGLU of H channels in both halves keeps its gate's SiLU
    besides, H / 2). In bfloat16 all but what is gathered has two bytes, where attention is fused.
    With checkpointing each block keeps its input, and one block at a time all the rest, what goes
    out of the GELU among it. Outside of blocks the final norm and the tokens that it gives are
    kept.
    """
    every = _tokens(step)
    narrow = 2 if step.bf16 else 4
    hidden = (1.5 if size.gated else 1.0) * size.hidden
    if step.checkpointed:
        hidden = 2 * size.hidden
    block = _kept(step) * (2 * 4 * size.width + narrow * (7 * size.width + hidden))
    outside = 3 * 4 * every * size.width
    if step.checkpointed:
        return 4 * size.depth * every * size.width + block + outside
    return size.depth * block + outside


def _tokens(step: Step) -> int:
    return sum(count * tokens for count, tokens in step.samples)


def _kept(step: Step) -> int:
    """Return the tokens of the samples that a branch does not drop."""
    return sum(max(int(count * (1 - step.drop_path)), 1) * tokens for count, tokens in step.samples)


def heads(size: Size, step: Step) -> float:
    """Return the bytes of projections, logits, their gradients and targets at the peak.

    Of K prototypes: the student's logits, their gradient, the teacher's targets, and the sums and
    the swapped copy that the class loss keeps; the normalised prototypes of the student.
    """
    student = (2 + step.local) * step.images + step.masked
    teacher = 2 * step.images + step.masked
    narrow = 2 if step.bf16 else 4
    projected = student * (size.width + 4 * _HIDDEN + 2 * _BOTTLENECK) * narrow
    logits = student * step.prototypes * narrow * 2
    targets = (teacher + 3 * step.images) * step.prototypes * 4
    return projected + logits + targets + step.prototypes * _BOTTLENECK * (narrow + 4)


def rise(size: Size, step: Step) -> float:
    """Return the bytes that a step takes above what lies there between steps, on one device.

    The peak is where the backward pass begins, with all activations; where it leaves the head, with
    its gradients, and enters the last block; or where it ends, with all gradients. Autocast holds
    the student's weights in bfloat16, and not the teacher's, which have no gradient.
    """
    head = head_parameters(size.width, step.prototypes)
    cast = 2 * (size.parameters + head) if step.bf16 else 0
    kept = activations(size, step)
    # a block's own gradients on the way back
    passing = _kept(step) * (2 if step.bf16 else 4) * 2 * size.hidden
    peaks = (
        kept + heads(size, step),
        kept + 4 * head + passing,
        4 * (size.parameters + head) + passing,
    )
    return max(peaks) + cast


def measured(name: str, images: int, prototypes: int, threads: int) -> None:
    """Print the measured and the computed rise of a step in four ways."""
    torch.set_num_threads(threads)
    return_large_blocks()
    model = build(name, prototypes, 0.3)
    counted = sum(p.numel() for p in model.student.parameters())
    size = SIZES[name]
    told = size.parameters + head_parameters(size.width, prototypes)
    if told != counted:
        raise SystemExit(f"{name} has {counted:,} parameters, the formula says {told:,}")
    batch = random_batches(images, 224, 96, 8, count=1)[0]
    for precision in ("fp32", "bf16"):
        for checkpointed in (False, True):
            own = copy.deepcopy(model)
            if checkpointed:
                checkpoint_activations(own)
            way = Gigakit(own, precision)
            with kernels("medium"):
                # the first step makes the optimiser's state
                way(batch)
                taken = peak_mib(lambda way=way: way(batch))
            step = Step(
                images, prototypes, len(batch["mask_indices"]), precision == "bf16", checkpointed
            )
            computed = rise(size, step) / MIB
            print(
                f"| {name} | {images} | {precision} | {'yes' if checkpointed else 'no'} | "
                f"{taken:,.0f} | {computed:,.0f} | {computed / taken:.2f} |",
                flush=True,
            )
            del own, way


def on_a_card(size: Size, step: Step, devices: int, *, sharded: bool) -> float:
    """Return the GiB of one of several devices: weights, teacher, gradients, AdamW, a step.

    DDP holds all of them and a copy of the gradients in its buckets. FSDP2 holds its part, the
    weights outside of blocks whole, and two blocks gathered with their gradients.
    """
    head = head_parameters(size.width, step.prototypes)
    weights = size.parameters + head
    narrow = 2 if step.bf16 else 4
    if sharded:
        outside = weights - size.depth * size.block
        state = 20 * weights / devices + 3 * narrow * outside + 2 * 2 * narrow * size.block
    else:
        state = (20 + 4) * weights + (2 * weights if step.bf16 else 0)
    total = state + activations(size, step) + heads(size, step)
    return total * (1 + _GAPS) / GIB + _CONTEXT_GIB


def computed(images: int, prototypes: int) -> None:
    """Print what fits where: bf16, with and without checkpointing, DDP and FSDP2."""
    print(
        "| size | parameters, M | checkpointing | DDP | FSDP2 of 8 | FSDP2 of 32 | "
        "most tiles: 24 GB | 40 GB | 80 GB |"
    )
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in ("s", "b", "l", "g"):
        size = SIZES[name]
        for checkpointed in (False, True):
            at = [(8, False), (8, True), (32, True)]
            cells = [
                on_a_card(size, _step(images, prototypes, checkpointed), devices, sharded=sharded)
                for devices, sharded in at
            ]
            most = [_most(size, prototypes, checkpointed, card, at) for card in (24, 40, 80)]
            print(
                f"| {name} | {size.parameters / 1e6:,.0f} + "
                f"{head_parameters(size.width, prototypes) / 1e6:,.0f} | "
                f"{'yes' if checkpointed else 'no'} | "
                + " | ".join(f"{cell:.1f}" for cell in cells)
                + " | "
                + " | ".join(most)
                + " |"
            )


def _step(images: int, prototypes: int, checkpointed: bool) -> Step:
    # 0.297 of the patches of half of the crops are masked on average
    masked = round(images * 0.297 * 196)
    return Step(images, prototypes, masked, bf16=True, checkpointed=checkpointed)


def _most(
    size: Size, prototypes: int, checkpointed: bool, card: int, ways: list[tuple[int, bool]]
) -> str:
    """Return the tiles of a device that fit, by each way; a card of 24 GB has 24e9 bytes."""
    found = []
    for devices, sharded in ways:
        images = 0
        while (
            images < 512  # noqa: PLR2004 - more is of no interest
            and on_a_card(
                size, _step(images + 1, prototypes, checkpointed), devices, sharded=sharded
            )
            * GIB
            < card * 1e9
        ):
            images += 1
        found.append(str(images) if images else "–")
    return ", ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--measure",
        nargs="*",
        default=["ti:4", "s:4", "b:2"],
        help="size:tiles, such as s:4; none prints the computed part alone",
    )
    parser.add_argument("--prototypes", type=int, default=8192, help="of what is measured")
    parser.add_argument("--images", type=int, default=12, help="tiles of a computed device")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.measure:
        print("| size | tiles | precision | checkpointing | measured MiB | computed | ratio |")
        print("| --- | ---: | --- | --- | ---: | ---: | ---: |")
    for cell in arguments.measure:
        name, images = cell.split(":")
        measured(name, int(images), arguments.prototypes, arguments.threads)
    print()
    computed(arguments.images, 65_536)


if __name__ == "__main__":
    main()
