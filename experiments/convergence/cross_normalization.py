"""ControlNeXt's cross normalisation in place of zero convolutions: a control's features take on the base's mean and deviation.

B. Peng et al., *ControlNeXt: Powerful and Efficient Control for Image and Video Generation*, 2024, arXiv 2408.06070. A control
by itself cannot do this: it needs the base's features at the sum, so the sum is exchanged while the block runs. What is saved
is an ordinary network with Gaussian connections, of which nothing says that it wants this sum: an experiment, no way to train.
"""

import operator
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from zeroconv.control import ActiveControl, Residuals
from zeroconv.control.controlled_unet import add_residuals
from zeroconv.stable_diffusion.unet import Encoded

__all__ = ["cross_normalize", "cross_normalized"]

EPSILON = 1e-6
AXES = (1, 2, 3)  # of a sample's features, as in the authors' code
SUMS = ("zeroconv.control.controlled_unet.add_controls", "zeroconv.runtime.planned_unet.add_controls")


def cross_normalize(residual: Tensor, features: Tensor) -> Tensor:
    """`(r - μ_r) / σ_r · σ_m + μ_m`, of each sample; zeros, of samples on which no control acts, stay zeros.

    Args:
        residual: of the control, (B, C, h, w).
        features: of the base where it is added, (B, C, h, w).
    """
    deviation = residual.std(AXES, keepdim=True)
    unit = (residual - residual.mean(AXES, keepdim=True)) / (deviation + EPSILON)
    matched = unit * features.std(AXES, keepdim=True) + features.mean(AXES, keepdim=True)
    return torch.where(deviation > 0, matched, residual)


def add_cross_normalized(encoded: Encoded, controls: Sequence[ActiveControl], *step: Any) -> Encoded:
    """As `add_controls`, each residual normalised to the features that it is added to; computed anew in every step."""
    locked = Residuals.of_unet(encoded.skips, encoded.middle)
    given = [residuals for control in controls if (residuals := control.residuals(*step[:4])) is not None]
    acting = [residuals.map(lambda site, one: cross_normalize(one, locked[site])) for residuals in given]
    return add_residuals(encoded, reduce(operator.add, acting)) if acting else encoded


@contextmanager
def cross_normalized() -> Generator[None]:
    """Inside, all controls are added so, in training and in probes, at a strength of 1."""
    with patch(SUMS[0], add_cross_normalized), patch(SUMS[1], add_cross_normalized):
        yield
