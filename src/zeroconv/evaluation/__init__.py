"""Numbers about a ControlNet: how well do its pictures obey their conditions?"""

from zeroconv.evaluation.fidelity import evaluate
from zeroconv.evaluation.gap import bootstrap_share, share_of_gap
from zeroconv.evaluation.prompt_check import check_prompts
from zeroconv.evaluation.prompt_findings import Finding, PromptCheck, share_found, share_in_colour
from zeroconv.evaluation.report import Example, FidelityReport, Row
from zeroconv.evaluation.samples import HeldOut, reconstruct
from zeroconv.evaluation.sheet import badge, fidelity_sheet
from zeroconv.metrics.bootstrap import Interval, bootstrap_mean

__all__ = [
    "Example",
    "FidelityReport",
    "Finding",
    "HeldOut",
    "Interval",
    "PromptCheck",
    "Row",
    "badge",
    "bootstrap_mean",
    "bootstrap_share",
    "check_prompts",
    "evaluate",
    "fidelity_sheet",
    "reconstruct",
    "share_found",
    "share_in_colour",
    "share_of_gap",
]
