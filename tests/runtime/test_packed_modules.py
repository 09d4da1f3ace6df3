"""A locked U-Net with packed convolutions trains a control like the plain one: values and gradients, up to rounding."""

from typing import Any

import pytest
import torch
from torch import nn

from tests.tiny import SD15, SD21, SDXL, build_control, build_unet, copies, numbers, unchanged
from tests.training.test_precision import batch_for, build_loss, loss_and_gradients
from zeroconv.control.low_rank import lora_layers
from zeroconv.runtime.packed_modules import packed_bytes, with_packed_convolutions

CLOSE = 1e-5


@pytest.mark.parametrize("options", [
    {"kernel_size": 3, "padding": 1}, {"kernel_size": 1}, {"kernel_size": 3, "padding": 2}, {"kernel_size": (3, 5)},
    {"kernel_size": 3, "padding": 1, "stride": 2}, {"kernel_size": 3, "padding": 1, "bias": False},
], ids=str)  # fmt: skip
def test_a_packed_convolution_and_its_gradient_are_torch_s(options: dict[str, Any]) -> None:
    network = nn.Sequential(nn.Conv2d(5, 7, **options)).requires_grad_(False)
    packed = with_packed_convolutions(network)
    assert type(packed[0]) is not nn.Conv2d and packed[0].weight is network[0].weight
    for size in ((2, 5, 8, 8), (1, 5, 9, 6)):  # weights may be packed anew for another size
        x, found = numbers(*size).requires_grad_(), numbers(*size).requires_grad_()
        expected, given = network(x), packed(found)
        torch.testing.assert_close(given, expected, rtol=CLOSE, atol=CLOSE)
        torch.testing.assert_close(packed(found.detach()), expected, rtol=CLOSE, atol=CLOSE)
        seen = numbers(*expected.shape, seed=3)
        expected.backward(seen)
        given.backward(seen)
        torch.testing.assert_close(found.grad, x.grad, rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize(("family", "variant"), [(SD15, "full"), (SD21, "lite"), (SDXL, "lora")])
def test_a_step_of_training_is_the_same_up_to_rounding(family: dict[str, Any], variant: Any) -> None:
    unet = build_unet(family)
    network, batch = build_control(unet, seed=1, variant=variant), batch_for(unet)
    before = copies(unet.state_dict().items())
    plain = loss_and_gradients(build_loss(unet, network), batch)
    for recompute in (False, True):
        found = loss_and_gradients(build_loss(unet, network, pack_base=True, recompute_decoder=recompute), batch)
        assert found.keys() == plain.keys() and len(plain) > 20
        for name in plain:
            torch.testing.assert_close(found[name], plain[name], rtol=1e-3, atol=1e-6, msg=name)
    assert unchanged(unet, before)


def test_weights_are_shared_and_adapters_are_left_alone() -> None:
    unet = build_unet()
    packed = with_packed_convolutions(unet)
    assert {id(p) for p in packed.parameters()} == {id(p) for p in unet.parameters()}
    assert [name for name, _ in packed.named_parameters()] == [name for name, _ in unet.named_parameters()]
    network = build_control(unet, variant="lora")
    layers = [name for name, layer in lora_layers(network).items() if isinstance(layer.layer, nn.Conv2d)]
    view = with_packed_convolutions(network)
    assert layers and all(type(view.get_submodule(name)) is type(network.get_submodule(name)) for name in layers)


def test_the_expected_bytes_are_those_of_the_convolutions() -> None:
    unet = build_unet()
    every = [layer for layer in unet.modules() if isinstance(layer, nn.Conv2d)]
    twice = [layer for part in (unet.up_blocks, unet.conv_out) for layer in part.modules() if isinstance(layer, nn.Conv2d)]
    assert packed_bytes(unet) == sum(layer.weight.nbytes for layer in (*every, *twice)) > 0
    assert packed_bytes(unet.half()) == 0
