"""Pictures of a result card, by matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gigakit.tasks.evaluation.calibration import BINS, reliability
from gigakit.tasks.evaluation.card import counted
from gigakit.tasks.evaluation.evaluation import Evaluation
from gigakit.tasks.evaluation.predictions import Predictions, joined

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE = (5.6, 5.0)
_DOTS_PER_INCH = 120
# more curves hide each other
_MOST_CURVES = 12
_WIDEST_TEXT = 10


def figures(evaluation: Evaluation) -> dict[str, Figure]:
    """Return the pictures of a task, by name.

    Curves and tables hold all test predictions, of several rounds together; survival curves are of
    the halves of each fold by risk.
    """
    kind = evaluation.task.kind
    found = joined([evaluation.of_unit(fold) for fold in evaluation.folds])
    shown = f"n = {len(evaluation.patients)} patients, {counted(len(evaluation.folds))}"
    if evaluation.rounds > 1:
        shown += f", {evaluation.rounds} rounds together"
    if kind == "regression":
        return {"scatter": _figure(lambda axes: _scatter(axes, found), shown)}
    if kind == "survival":
        return {"survival": _figure(lambda axes: _survival(axes, evaluation), shown)}
    drawn = {
        "roc": _figure(lambda axes: _roc(axes, found), shown),
        "pr": _figure(lambda axes: _precision_recall(axes, found), shown),
        "reliability": _figure(lambda axes: _reliability(axes, found), shown),
    }
    if kind == "classification":
        drawn["confusion"] = _figure(lambda axes: _confusion(axes, found, evaluation.unit), shown)
    return drawn


def _figure(draw: Callable[[Axes], None], shown: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=_SIZE, dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    figure.suptitle(shown, fontsize=9)
    return figure


def _columns(found: Predictions) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return name, truth and probability of each class or label that has both sides."""
    task = found.task
    if task.kind == "classification":
        truth = np.eye(len(task.classes))[found.targets[:, 0].astype(np.int64)]
        # of two classes the second tells all
        chosen = [1] if len(task.classes) == 2 else range(len(task.classes))  # noqa: PLR2004
        names = task.classes
    else:
        truth, names, chosen = found.targets, task.labels, range(len(task.labels))
    columns = []
    for column in chosen:
        known = ~np.isnan(truth[:, column])
        own = truth[known, column]
        if 0 < own.sum() < len(own):
            columns.append((names[column], own, found.outputs[known, column]))
    return columns[:_MOST_CURVES]


def _roc(axes: Axes, found: Predictions) -> None:
    from sklearn.metrics import roc_auc_score, roc_curve  # noqa: PLC0415

    for name, truth, values in _columns(found):
        rates = roc_curve(truth, values)
        axes.plot(rates[0], rates[1], label=f"{name}: {roc_auc_score(truth, values):.3f}")
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":", label="chance")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC", aspect="equal")
    axes.legend(fontsize=8, title="AUROC, all predictions", loc="lower right")


def _precision_recall(axes: Axes, found: Predictions) -> None:
    from sklearn.metrics import average_precision_score, precision_recall_curve  # noqa: PLC0415

    for name, truth, values in _columns(found):
        precision, recall, _ = precision_recall_curve(truth, values)
        area = average_precision_score(truth, values)
        (line,) = axes.step(recall, precision, where="post", label=f"{name}: {area:.3f}")
        axes.axhline(truth.mean(), color=line.get_color(), linestyle=":", linewidth=0.8)
    axes.set(xlabel="recall", ylabel="precision", title="precision and recall (dotted: chance)")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.legend(fontsize=8, title="AUPRC, all predictions", loc="lower left")


def _confusion(axes: Axes, found: Predictions, unit: str) -> None:
    from sklearn.metrics import confusion_matrix  # noqa: PLC0415

    classes = found.task.classes
    counts = confusion_matrix(
        found.targets[:, 0].astype(np.int64),
        found.outputs.argmax(axis=1),
        labels=np.arange(len(classes)),
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004
        text = f"{counts[row, column]}\n{shares[row, column]:.0%}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    turned = 45 if max(map(len, classes)) * len(classes) > _WIDEST_TEXT * 3 else 0
    axes.set_xticks(range(len(classes)), classes, rotation=turned)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true", title=f"{unit}s, and share of the true class")


def _reliability(axes: Axes, found: Predictions) -> None:
    if found.task.kind == "classification":
        right = found.targets[:, 0] == found.outputs.argmax(axis=1)
        lines = [("predicted class", right, found.outputs.max(axis=1))]
    else:
        lines = [(name, truth == 1, values) for name, truth, values in _columns(found)]
    axes.plot([0, 1], [0, 1], color="0.6", linestyle=":")
    for name, right, confidence in lines:
        mean, share, counts = reliability(right, confidence)
        (line,) = axes.plot(mean, share, marker="o", markersize=4, label=name)
        if len(lines) == 1:
            axes.bar(mean, counts / counts.sum(), width=0.04, alpha=0.25, label="share of all")
            for x, y, count in zip(mean, share, counts, strict=True):
                axes.annotate(
                    str(count), (x, y), xytext=(4, -9), textcoords="offset points", fontsize=7,
                    color=line.get_color(),
                )  # fmt: skip
    told = "right" if found.task.kind == "classification" else "positive"
    axes.set(
        xlabel="probability", ylabel=f"share that is {told}", title=f"reliability, {BINS} bins"
    )
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.legend(fontsize=8, loc="upper left")


def _scatter(axes: Axes, found: Predictions) -> None:
    truth, value = found.targets[:, 0], found.outputs[:, 0]
    ends = (min(truth.min(), value.min()), max(truth.max(), value.max()))
    axes.plot(ends, ends, color="0.6", linestyle=":")
    axes.scatter(truth, value, s=12, alpha=0.6)
    axes.set(xlabel=f"true {found.task.name}", ylabel="predicted", title="all predictions")


def _survival(axes: Axes, evaluation: Evaluation) -> None:
    from lifelines import KaplanMeierFitter  # noqa: PLC0415

    times, event, high = [], [], []
    for fold in evaluation.folds:
        found = evaluation.of_unit(fold)
        times.append(found.targets[:, 0])
        event.append(found.targets[:, 1])
        high.append(found.outputs[:, 0] > np.median(found.outputs[:, 0]))
    for value, name in ((False, "lower half"), (True, "higher half")):
        rows = np.concatenate(high) == value
        if not rows.any():
            continue
        fitted = KaplanMeierFitter().fit(
            np.concatenate(times)[rows], np.concatenate(event)[rows], label=name
        )
        curve = fitted.survival_function_
        axes.step(curve.index, curve[name], where="post", label=f"{name} ({rows.sum()})")
    axes.set(xlabel=evaluation.task.labels[0], ylabel="without event", ylim=(0, 1.02))
    axes.set(title="by predicted risk, halves of each fold")
    axes.legend(fontsize=8)
