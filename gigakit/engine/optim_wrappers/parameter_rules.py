"""Which parameters decay, and how much of the learning rate each gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import nn

_TOKENS = ("_token", "_tokens", "pos_embed")
_EMBEDDING_PARTS = {"patch_embed", "pos_embed", "mask_token", "cls_token", "register_tokens"}


@dataclass(frozen=True)
class Treatment:
    """How an optimiser treats a parameter; parameters treated alike form one group.

    Attributes:
        lr_mult: factor of the learning rate.
        wd_mult: factor of the weight decay, 0 or 1.
        is_last_layer: of a projection head, which DINO freezes at first.
    """

    lr_mult: float
    wd_mult: float
    is_last_layer: bool

    @property
    def name(self) -> str:
        """Name of the group."""
        words = ["decay" if self.wd_mult else "no_decay"]
        if self.lr_mult != 1.0:
            words.append(f"lr x{self.lr_mult:.4g}")
        if self.is_last_layer:
            words.append("last layer")
        return ", ".join(words)


def _decays_in_mae(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and not name.endswith(_TOKENS)


def _decays_in_dinov2(name: str, _parameter: nn.Parameter) -> bool:
    return not (name.endswith(".bias") or "norm" in name or "gamma" in name)


def _decays_in_gigapath(_name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1


# which parameters decay, by whose published rule
RULES: dict[str, Callable[[str, nn.Parameter], bool]] = {
    "mae": _decays_in_mae,
    "dinov2": _decays_in_dinov2,
    "gigapath": _decays_in_gigapath,
}


def treatments(
    model: nn.Module,
    *,
    rule: str = "mae",
    no_decay: Sequence[str] = (),
    layer_decay: float = 1.0,
    layer_decay_in: Sequence[str] = ("",),
    patch_embed_lr: float = 1.0,
    patch_embed_at_full_rate: bool = False,
) -> dict[str, Treatment]:
    """Return how each trained parameter of a model is treated, by name.

    Formula, for a network of n blocks, whose embeddings (patches, positions, tokens) are layer 0,
    block i from 0 layer i + 1, and everything after them layer n + 1::

        lr_mult = layer_decay ^ (n + 1 - layer)      × patch_embed_lr for the patch embedding

    Args:
        model: the objective, or a network.
        rule: of :data:`RULES`.
        no_decay: names, or how they begin, that do not decay either.
        layer_decay: factor from one layer to the one before it.
        layer_decay_in: names of the networks, or how they begin, that it applies to; default all.
        patch_embed_lr: factor of the patch embeddings' learning rate.
        patch_embed_at_full_rate: ``layer_decay`` passes patch embeddings over, as in GigaPath's
            released fine-tuning, whose test of names misses them.

    Source: BEiT (Bao et al. 2021) for the layers; DINOv2, ``get_params_groups_with_decay``.
    """
    below = dict(_layers_below_the_end(model))
    found = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        lr_mult = 1.0
        if name.startswith(tuple(layer_decay_in)):
            lr_mult = layer_decay ** below.get(name, 0)
        if "patch_embed" in name.split("."):
            lr_mult = (1.0 if patch_embed_at_full_rate else lr_mult) * patch_embed_lr
        decays = RULES[rule](name, parameter) and not name.startswith(tuple(no_decay))
        found[name] = Treatment(lr_mult, float(decays), "last_layer" in name)
    return found


def _layers_below_the_end(model: nn.Module) -> Iterator[tuple[str, int]]:
    """Yield parameters of networks with blocks, and how many layers each lies below the end."""
    for root, path, blocks in _networks(model):
        chunked = any(isinstance(block, nn.ModuleList) for block in blocks)
        place = len(path.split("."))
        names = [f"{root}{name}" for name, _ in _submodule(model, root).named_parameters()]
        in_blocks = [name for name in names if name.startswith(f"{path}.")]
        # a chunk's entries keep their numbers in the whole network
        numbers = {name: int(name.split(".")[place + chunked]) for name in in_blocks}
        end = max(numbers.values(), default=-1) + 2
        for name in names:
            if name in numbers:
                yield name, end - 1 - numbers[name]
            elif _EMBEDDING_PARTS & set(name.split(".")):
                yield name, end


def _networks(model: nn.Module) -> Iterator[tuple[str, str, nn.ModuleList]]:
    """Yield the largest submodule around each list of blocks that holds no other such list.

    With its name (ending in a dot), the name of the list, and the list.
    """
    lists = dict(_outermost_lists(model))
    for path, blocks in lists.items():
        parts = path.split(".")[:-1]
        roots = [".".join([*parts[:count], ""]) for count in range(len(parts) + 1)]
        alone = [root for root in roots if sum(other.startswith(root) for other in lists) == 1]
        # two lists side by side in one module: its own parameters belong to neither
        yield (alone[0] if alone else f"{path}."), path, blocks


def _outermost_lists(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.ModuleList]]:
    for name, module in model.named_children():
        if isinstance(module, nn.ModuleList):
            yield f"{prefix}{name}", module
        else:
            yield from _outermost_lists(module, f"{prefix}{name}.")


def _submodule(model: nn.Module, root: str) -> nn.Module:
    return model.get_submodule(root.removesuffix("."))
