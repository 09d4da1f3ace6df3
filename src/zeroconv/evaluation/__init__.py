"""Numbers about a ControlNet: how well do its pictures obey their conditions?"""

from zeroconv.evaluation.fidelity import Example, FidelityReport, Row, evaluate
from zeroconv.evaluation.interval import Interval, bootstrap_mean, bootstrap_share
from zeroconv.evaluation.sheet import badge, fidelity_sheet

__all__ = [
    "Example",
    "FidelityReport",
    "Interval",
    "Row",
    "badge",
    "bootstrap_mean",
    "bootstrap_share",
    "evaluate",
    "fidelity_sheet",
]
