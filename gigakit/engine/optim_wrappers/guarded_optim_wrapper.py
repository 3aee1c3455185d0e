"""The optimiser's step, taken only when loss and gradient are finite."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from gigakit.core.errors import ConfigError
from gigakit.engine import processes
from gigakit.registry import OPTIM_WRAPPERS

# a group's entry: its gradients are dropped before the step, so that nothing of it changes
NO_GRADIENT = "no_gradient"


@dataclass(frozen=True)
class Skip:
    """Why a step was skipped.

    Attributes:
        norm: of the gradient.
        first_bad: names the first tensor whose gradient is not finite; empty if none is.
    """

    norm: float
    first_bad: str


@OPTIM_WRAPPERS.register_module()
class GuardedOptimWrapper(OptimWrapper):
    """Clip and step, or skip the step where the loss or the gradient norm is not finite.

    The decision falls before the optimiser moves and is the same on all ranks. Skipped steps are
    counted and reported by the loop; several in a row end the run, with weights that no bad step
    has touched.

    Args:
        optimizer: what makes the step; built from ``optim_wrapper.optimizer``.
        accumulative_counts: batches per optimiser step.
        clip_grad: such as ``dict(max_norm=1.0)``; ``None`` measures the norm and does not clip.
            With ``parts``, such as ``["student.encoder", "student.head"]``, each part is clipped by
            its own norm, as DINOv2 does; a part that the model has not is passed over. With
            ``each=True`` every tensor is clipped by its own norm, as DINO and iBOT do.
        precision: ``bf16`` runs the forward pass under autocast, on any device; weights, gradients
            and optimiser stay float32.
        max_consecutive_skips: skipped steps in a row that end the run.

    Raises:
        ConfigError: unknown precision or clipping, a parameter in no part, or a count under 1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        accumulative_counts: int = 1,
        clip_grad: dict[str, Any] | None = None,
        precision: Literal["fp32", "bf16"] = "fp32",
        max_consecutive_skips: int = 5,
    ) -> None:
        for name, value in (
            ("accumulative_counts", accumulative_counts),
            ("max_consecutive_skips", max_consecutive_skips),
        ):
            if value < 1:
                raise ConfigError(
                    f"got {value}", where=f"optim_wrapper.{name}", fix="give 1 or more"
                )
        if precision not in ("fp32", "bf16"):
            raise ConfigError(
                f"got '{precision}'", where="optim_wrapper.precision", fix="give fp32 or bf16"
            )
        if clip_grad is not None and set(clip_grad) - {"max_norm", "norm_type", "parts", "each"}:
            raise ConfigError(
                f"got {sorted(clip_grad)}",
                where="optim_wrapper.clip_grad",
                fix="give max_norm and, if need be, norm_type, and parts or each",
            )
        super().__init__(
            optimizer,
            accumulative_counts=accumulative_counts,
            clip_grad=dict(clip_grad) if clip_grad else None,
        )
        self.precision = precision
        self.max_consecutive_skips = max_consecutive_skips
        self.skipped_steps = self.consecutive_skips = 0
        self.last_skip: Skip | None = None
        self._losses: list[Tensor] = []
        # by what the next batch's loss counts; the loop sets it where batches differ in samples
        self.loss_weight = 1.0
        # the next batch's gradient is added, and counts as none of the step's batches
        self.uncounted = False

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Start counting batches; the loop counts optimiser steps."""
        window = self._accumulative_counts
        super().initialize_count_status(model, init_counts * window, max_counts * window)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass in the chosen precision; exchange gradients once a window."""
        device = next(model.parameters()).device.type
        bf16 = self.precision == "bf16"
        with (
            super().optim_context(model),
            torch.autocast(device, dtype=torch.bfloat16, enabled=bf16),
        ):
            yield

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Divide a loss by the batches of a step, and weigh it by its share of their samples."""
        scaled: Tensor = super().scale_loss(loss)
        return scaled if self.loss_weight == 1.0 else scaled * self.loss_weight

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Propagate the loss back, and remember it for the decision."""
        self._losses.append(loss.detach())
        super().backward(loss, **kwargs)
        if self.uncounted:
            self._inner_count -= 1

    def should_update(self) -> bool:
        """Tell whether the batches of a step are complete."""
        complete: bool = super().should_update()
        return complete and not self.uncounted

    def step(self, **kwargs: Any) -> None:
        """Make the optimiser's step, or skip it; :attr:`last_skip` then says why."""
        parts = self._parts()
        norms = {name: self._norm(parameters) for name, parameters in parts.items()}
        norm = _joined(list(norms.values()), self._norm_type)
        # one look at the device for all of them
        values = torch.stack(
            [norm, *norms.values(), *(loss.float() for loss in self._losses)]
        ).tolist()
        self._losses.clear()
        self.message_hub.update_scalar("train/grad_norm", values[0])
        if len(parts) > 1:
            for name, value in zip(parts, values[1:], strict=False):
                self.message_hub.update_scalar(f"train/grad_norm/{name}", value)
        if processes.most([not all(map(math.isfinite, values))]) == [0]:
            self.consecutive_skips, self.last_skip = 0, None
            if self.clip_grad_kwargs:
                self._clip(parts, norms, **self.clip_grad_kwargs)
            self._drop_gradients()
            self.optimizer.step(**kwargs)
        else:
            self.skipped_steps += 1
            self.consecutive_skips += 1
            self.last_skip = Skip(values[0], self._first_bad())
        self.message_hub.update_scalar("train/skipped_steps", self.skipped_steps)

    def state_dict(self) -> dict[str, Any]:
        """Return the optimiser's state and the counts of skipped steps."""
        state: dict[str, Any] = super().state_dict()
        return {**state, "skipped": [self.skipped_steps, self.consecutive_skips]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned."""
        state = dict(state_dict)
        self.skipped_steps, self.consecutive_skips = state.pop("skipped", [0, 0])
        super().load_state_dict(state)

    def _clip(
        self,
        gradients: dict[str, list[nn.Parameter]],
        norms: dict[str, Tensor],
        *,
        max_norm: float,
        each: bool = False,
        **_others: Any,
    ) -> None:
        """Bring gradients with a larger norm to ``max_norm``: each part's, or each tensor's."""
        for name, parameters in gradients.items():
            pieces = [[parameter] for parameter in parameters] if each else [parameters]
            for piece in pieces:
                norm = self._norm(piece) if each else norms[name]
                torch.nn.utils.clip_grads_with_norm_(piece, max_norm, norm)

    def _drop_gradients(self) -> None:
        """Take gradients from the groups that a schedule has marked; their norm has counted."""
        for group in self.optimizer.param_groups:
            if group.get(NO_GRADIENT):
                for parameter in group["params"]:
                    parameter.grad = None

    @property
    def _norm_type(self) -> float:
        return float((self.clip_grad_kwargs or {}).get("norm_type", 2.0))

    def _parts(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters with a gradient of each part that is clipped by itself."""
        wanted = (self.clip_grad_kwargs or {}).get("parts")
        parts: dict[str, list[nn.Parameter]] = {name: [] for name in wanted or ("",)}
        for group in self.optimizer.param_groups:
            names = group.get("param_names") or [""] * len(group["params"])
            for name, parameter in zip(names, group["params"], strict=True):
                if parameter.grad is None:
                    continue
                own = [part for part in parts if not part or name.startswith(f"{part}.")]
                if not own:
                    raise ConfigError(
                        f"{name} is in none of {', '.join(parts)}",
                        where="optim_wrapper.clip_grad.parts",
                        fix="name a part for it, or leave parts out",
                    )
                parts[own[0]].append(parameter)
        # where nothing has a gradient, its norm is that of nothing
        return {name: found for name, found in parts.items() if found} or {"": []}

    def _norm(self, parameters: list[nn.Parameter]) -> Tensor:
        grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads, self._norm_type)
        # of a sharded model each process holds a part of it
        return (norm.full_tensor() if isinstance(norm, DTensor) else norm).float()

    def _first_bad(self) -> str:
        """Name the first tensor with a non-finite gradient, and its group."""
        for number, group in enumerate(self.optimizer.param_groups):
            names = group.get("param_names")
            for place, parameter in enumerate(group["params"]):
                grad = parameter.grad
                if grad is None or bool(_local(grad).isfinite().all()):
                    continue
                name = names[place] if names else f"a tensor of shape {tuple(parameter.shape)}"
                return f", first in {name} (parameter group {group.get('name', number)})"
        return ""


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _joined(norms: list[Tensor], kind: float) -> Tensor:
    """Return the norm of a gradient whose parts have these norms."""
    return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms), kind)
