"""The plots, seen by users as ``gp_elm.pl``: functions of tables, results or an AnnData that return matplotlib axes."""

from gp_elm.report.effect_plots import effects, manhattan, pairs, qq, sensitivity, sensitivity_by_genotype
from gp_elm.report.model_plots import calibration, prediction, training, variance_components

__all__ = [
    "calibration",
    "effects",
    "manhattan",
    "pairs",
    "prediction",
    "qq",
    "sensitivity",
    "sensitivity_by_genotype",
    "training",
    "variance_components",
]
