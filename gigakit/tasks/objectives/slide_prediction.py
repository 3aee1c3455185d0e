"""Supervised learning of slides' labels from their tile embeddings.

Shapes: B slides, L tiles of the longest slide, D width of an embedding, O outputs.
"""

from __future__ import annotations

import inspect
from typing import Any, Literal

from mmengine.model import BaseModel
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.nn.aggregators.aggregated import Aggregated, Aggregator, HasInstanceLoss
from gigakit.registry import AGGREGATORS, HEADS, LOSSES, OBJECTIVES
from gigakit.tasks.losses.task_loss import TaskLoss

Mode = Literal["tensor", "loss", "predict"]


@OBJECTIVES.register_module()
class SlidePrediction(BaseModel):
    """Aggregate a slide's tiles to one embedding, and predict its label from it.

    Where the aggregator has a loss of its own on tiles, such as CLAM, it is part of the loss.

    Args:
        aggregator: config from AGGREGATORS; its ``input_dim``, and ``classes`` where it takes
            them, come from here.
        head: config from HEADS; default ``LinearHead``, as published.
        loss: config from LOSSES, one that fits the labels; default ``ClassificationLoss``.
        input_dim: width of the tile embeddings; ``None`` in a recipe takes it from the data.
        output_dim: classes, labels, or 1; ``None`` in a recipe takes it from the data.
        data_preprocessor: mmengine's, which moves batches to the device.

    Raises:
        ConfigError: a width is unknown, or an aggregator with a loss of tiles without classes.

    Source: Prov-GigaPath, Methods, "fine-tuning"; its released ``ClassificationHead`` has a slide
        encoder's cls token and a linear layer.
    """

    def __init__(
        self,
        *,
        aggregator: dict[str, Any],
        head: dict[str, Any] | None = None,
        loss: dict[str, Any] | None = None,
        input_dim: int | None = None,
        output_dim: int | None = None,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        if input_dim is None or output_dim is None:
            name = "input_dim" if input_dim is None else "output_dim"
            raise ConfigError("is unknown", where=f"model.{name}", fix="set it")
        self.loss: TaskLoss = LOSSES.build(loss or {"type": "ClassificationLoss"})
        given = {"input_dim": input_dim, **aggregator}
        accepted = inspect.signature(AGGREGATORS.get(aggregator["type"])).parameters
        if "classes" in accepted:
            given.setdefault("classes", output_dim)
        self.aggregator: Aggregator = AGGREGATORS.build(given)
        head = {"type": "LinearHead", **(head or {})}
        self.head: nn.Module = HEADS.build(
            {"input_dim": self.aggregator.width, "output_dim": output_dim, **head}
        )
        self.tile_weight = 0.0
        if isinstance(self.aggregator, HasInstanceLoss):
            self.tile_weight = self.aggregator.instance_weight
            if self.tile_weight and self.loss.kind != "classification":
                raise ConfigError(
                    f"its loss of tiles needs classes, not {self.loss.kind}",
                    where="model.aggregator.instance_weight",
                    fix="set it to 0",
                )

    @property
    def leaves_parameters_unused(self) -> bool:
        """A step leaves parameters without gradient, such as blocks after the last layer chosen."""
        return bool(getattr(self.aggregator, "leaves_parameters_unused", False))

    def encoder_parts(self) -> tuple[str, ...]:
        """Return the slide encoder's name, which a file of one can fill.

        Raises:
            ConfigError: the aggregator has none.
        """
        if not hasattr(self.aggregator, "encoder"):
            raise ConfigError(
                f"{type(self.aggregator).__name__} has no slide encoder to start from weights",
                where="model.aggregator",
                fix='take dict(type="LongNetAggregator"), or leave --init-from out',
            )
        return ("aggregator.encoder",)

    def forward(  # type: ignore[override]  # mmengine passes a dict batch by keyword
        self,
        features: Tensor,
        grid: Tensor,
        padding_mask: Tensor | None = None,
        label: Tensor | None = None,
        seed: Tensor | None = None,  # noqa: ARG002
        slide_id: list[str] | None = None,
        patient_id: list[str] | None = None,
        mode: Mode = "tensor",
    ) -> Tensor | dict[str, Tensor] | list[dict[str, Any]]:
        """Predict slides' labels.

        Args:
            features: ``(B, L, D)`` tile embeddings.
            grid: ``(B, L, 2)`` positions in tiles.
            padding_mask: ``(B, L)`` bool, True = padding, on the right; ``None`` for none.
            label: ``(B,)`` int64 of classes, else ``(B, T)`` float32.
            seed: of the batch; nothing here draws from it.
            slide_id: names of the slides, carried to the predictions.
            patient_id: names of their patients, carried alike.
            mode: ``loss`` returns ``{"loss": ()}``, or ``slide_loss`` and ``tile_loss``;
                ``predict`` one dict a slide with ``kind``, ``slide_id``, ``patient_id``,
                ``label``, what the loss's ``predictions`` gives, each ``(O,)``, and
                ``attention`` ``(L,)`` without padding, where there is one; ``tensor`` the
                outputs ``(B, O)``.

        Raises:
            ConfigError: a loss is asked for without labels.
        """
        found = self.aggregator(features, grid=grid, padding_mask=padding_mask)
        outputs: Tensor = self.head(found.embedding)
        if mode == "tensor":
            return outputs
        if mode == "loss":
            if label is None:
                raise ConfigError("a batch has no label", where="SlidePrediction")
            return self._losses(found, outputs, label, padding_mask)
        columns = self.loss.predictions(outputs)
        slides: list[dict[str, Any]] = []
        for row in range(len(outputs)):
            slide = {
                "kind": self.loss.kind,
                "slide_id": slide_id[row] if slide_id else "",
                "patient_id": patient_id[row] if patient_id else "",
                **{name: values[row] for name, values in columns.items()},
            }
            if label is not None:
                slide["label"] = label[row]
            if found.attention is not None:
                own = found.attention[row]
                slide["attention"] = own if padding_mask is None else own[~padding_mask[row]]
            slides.append(slide)
        return slides

    def _losses(
        self, found: Aggregated, outputs: Tensor, label: Tensor, padding_mask: Tensor | None
    ) -> dict[str, Tensor]:
        loss = self.loss(outputs, label)
        if not self.tile_weight or not isinstance(self.aggregator, HasInstanceLoss):
            return {"loss": loss}
        tiles = self.aggregator.instance_loss(found, label, padding_mask)
        return {
            "slide_loss": (1.0 - self.tile_weight) * loss,
            "tile_loss": self.tile_weight * tiles,
        }
