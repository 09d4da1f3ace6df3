"""The paper: sections 3.1, 3.2 and 3.4."""

from zeroconv.control.block import ControlledBlock
from zeroconv.control.condition_encoder import ConditionEncoder, PaperConditionEncoder
from zeroconv.control.controlled_unet import ActiveControl, ControlledUNet
from zeroconv.control.network import ControlNet
from zeroconv.control.residuals import Residuals
from zeroconv.control.transfer import Shift, encoder_shift
from zeroconv.control.weighting import WEIGHTINGS, StepWindow, layer_weights
from zeroconv.control.zero_convolution import ZeroConvolution

__all__ = [
    "WEIGHTINGS",
    "ActiveControl",
    "ConditionEncoder",
    "ControlNet",
    "ControlledBlock",
    "ControlledUNet",
    "PaperConditionEncoder",
    "Residuals",
    "Shift",
    "StepWindow",
    "ZeroConvolution",
    "encoder_shift",
    "layer_weights",
]
