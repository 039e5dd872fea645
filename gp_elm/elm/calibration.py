"""Do the network's additive and non-additive predictions hold in samples that it never saw? (METHOD 7)"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gp_elm.elm.variance import Estimate

Floats = NDArray[np.float64]


def calibrate(
    y: Floats, additive: Floats, interaction: Floats, groups: NDArray[np.int64]
) -> dict[str, Estimate]:
    """Regress held-out trait values on the two parts of their prediction: ``y = c_0 + c_A f_A + c_I f_I``.

    Parameters
    ----------
    y : (n,) float
        Held-out trait less covariates; NaN missing.
    additive, interaction : (n,) float
        Additive and non-additive part of the network's prediction.
    groups : (n,) int
        Families; standard errors are clustered by them (CR1; HC1 where every sample is a group of its own).

    Returns
    -------
    dict
        ``calibration_additive`` and ``calibration_interaction``; 1 is perfect, 0 says that the part predicts nothing.
        A part that does not vary gives NaN.
    """
    measured = np.isfinite(y) & np.isfinite(additive) & np.isfinite(interaction)
    y, parts, groups = y[measured], np.stack([additive, interaction], 1)[measured], groups[measured]
    spread = parts.std(0) if y.size else np.zeros(2)
    # A slope on a part a hundredth as large as the trait says nothing.
    varies = spread > 1e-2 * (y.std() if y.size else 1.0)
    design = np.column_stack([np.ones(y.size), parts[:, varies]])
    names = [n for n, v in zip(("calibration_additive", "calibration_interaction"), varies, strict=True) if v]
    out = {
        n: Estimate(np.nan, np.nan, np.nan, np.nan, "held-out regression")
        for n in ("calibration_additive", "calibration_interaction")
    }
    _, label = np.unique(groups, return_inverse=True)
    n_groups = int(label.max()) + 1 if y.size else 0
    if not names or n_groups <= design.shape[1]:
        return out
    inverse = np.linalg.pinv(design.T @ design)
    coefficient = inverse @ design.T @ y
    scores = np.zeros((n_groups, design.shape[1]))
    np.add.at(scores, label, design * (y - design @ coefficient)[:, None])
    n, k = design.shape
    correction = n_groups / (n_groups - 1) * (n - 1) / (n - k)
    error = np.sqrt(np.diag(inverse @ (scores.T @ scores) @ inverse) * correction)
    for index, name in enumerate(names, start=1):
        c, s = float(coefficient[index]), float(error[index])
        out[name] = Estimate(c, s, c - 1.96 * s, c + 1.96 * s, "held-out regression, clustered errors")
    return out
