"""Cox regression of survival times, by lifelines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.slide_labels import Task

MOST = 32
_TIME, _EVENT = "time", "event"


def fit(
    features: np.ndarray,
    targets: np.ndarray,
    task: Task,  # noqa: ARG001
    setting: float,
    seed: int,  # noqa: ARG001
) -> Callable[[np.ndarray], np.ndarray]:
    """Fit on principal components: a Newton step on thousands of covariates would not end.

    Args:
        features: ``(N, D)``.
        targets: ``(N, 2)``: time and event.
        task: survival.
        setting: weight of the ridge penalty.
        seed: nothing is drawn.

    Returns:
        What predicts log risks ``(M, 1)`` of ``(M, D)``.

    Raises:
        ConfigError: no event is observed in training, or the fit does not converge.
    """
    import pandas as pd  # noqa: PLC0415
    from lifelines import CoxPHFitter  # noqa: PLC0415
    from lifelines.exceptions import ConvergenceError  # noqa: PLC0415
    from sklearn.decomposition import PCA  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    if not targets[:, 1].any():
        raise ConfigError("no event is observed in training", where="cox", fix="use fewer folds")
    components = min(MOST, *features.shape)
    reduce = make_pipeline(
        StandardScaler(), PCA(components, svd_solver="full"), StandardScaler()
    ).fit(features)
    table = pd.DataFrame(reduce.transform(features)).rename(columns=str)
    table[_TIME], table[_EVENT] = targets[:, 0], targets[:, 1]
    model = CoxPHFitter(penalizer=setting)
    try:
        model.fit(table, duration_col=_TIME, event_col=_EVENT)
    except ConvergenceError as error:
        raise ConfigError(
            f"Cox regression does not converge with penalty {setting:g}",
            where="cox",
            fix="give larger ones with --settings",
        ) from error
    weights = model.params_.to_numpy()
    return lambda asked: (reduce.transform(asked) @ weights).reshape(-1, 1)
