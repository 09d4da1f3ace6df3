"""The authors' own numbers: their network's residuals and predictions, from their file, without their code (README.md)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.golden.weights import write
from zeroconv import ControlNet
from zeroconv.checkpoints import read_safetensors
from zeroconv.checkpoints.architecture.unet_shape import UNetShape
from zeroconv.checkpoints.formats.configs import unet_config
from zeroconv.checkpoints.keys.unet import unet_table
from zeroconv.control import ActiveControl, ControlledUNet, layer_weights
from zeroconv.stable_diffusion.build import build_unet

NUMBERS, U_NET = Path(__file__).parent / "numbers.safetensors", "model.diffusion_model."
CLOSE = 4e-6
"""Of the largest number: float32 on this machine against float32 on theirs."""


@pytest.fixture(scope="module")
def numbers() -> Mapping[str, Tensor]:
    return {name: tensor.clone() for name, tensor in read_safetensors(NUMBERS).items()}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("golden") / "weights.safetensors", NUMBERS)


@pytest.fixture(scope="module")
def control(weights: Path) -> ControlNet:
    return ControlNet.from_pretrained(weights).eval()


@pytest.fixture(scope="module")
def unet(weights: Path) -> Any:
    tensors = {name.removeprefix(U_NET): tensor for name, tensor in read_safetensors(weights).items() if name.startswith(U_NET)}
    shape = UNetShape.of_original({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    return build_unet(unet_config(shape), unet_table(shape).to_ours(tensors, "the U-Net"), torch.float32)


def inputs(numbers: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    return numbers["input.z"], numbers["input.t"], numbers["input.text"]


def assert_close(found: Tensor, wanted: Tensor) -> None:
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max()) <= CLOSE * float(wanted.abs().max())


@torch.no_grad()
def test_the_thirteen_residuals(control: ControlNet, numbers: Mapping[str, Tensor]) -> None:
    residuals = control(*inputs(numbers), numbers["input.hint"])
    found = [*residuals.skips, residuals.middle]
    assert len(found) == 13
    for index, residual in enumerate(found):
        assert_close(residual, numbers[f"residual.{index}"])


@torch.no_grad()
def test_the_prediction_without_control(unet: Any, numbers: Mapping[str, Tensor]) -> None:
    assert_close(ControlledUNet(unet)(*inputs(numbers), []), numbers["epsilon.uncontrolled"])


@torch.no_grad()
@pytest.mark.parametrize(("name", "scale", "weighting"), [("epsilon", 1.0, "uniform"), ("epsilon.guess_0.9", 0.9, "decay")])
def test_the_controlled_prediction(
    unet: Any, control: ControlNet, numbers: Mapping[str, Tensor], name: str, scale: float, weighting: str
) -> None:
    weights = scale * layer_weights(weighting, [8] * 13)
    active = ActiveControl(control, control.encode_condition(numbers["input.hint"]), weights)
    assert_close(ControlledUNet(unet)(*inputs(numbers), [active]), numbers[name])


def test_the_cases_differ(numbers: Mapping[str, Tensor]) -> None:
    """Otherwise a network that ignores its control would pass."""
    free, strong, guess = numbers["epsilon.uncontrolled"], numbers["epsilon"], numbers["epsilon.guess_0.9"]
    for one, other in ((free, strong), (free, guess), (strong, guess)):
        assert float((one - other).abs().max()) > 0.01 * float(one.abs().max())
