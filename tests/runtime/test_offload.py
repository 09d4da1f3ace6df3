"""Weights that wait: the same pictures, brought by network or layer, and back in their places whatever happens."""

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

from zeroconv import Control, ControlNet, ControlPipeline, StableDiffusion
from zeroconv.errors import InputError
from zeroconv.images import to_image
from zeroconv.runtime.offload import Offload, OffloadKind

KINDS: tuple[OffloadKind, ...] = ("model", "sequential")


class Device(Offload):
    """A device that is this CPU's memory: what is brought is a copy, and its bytes are counted for as long as it lives."""

    def __init__(self, kind: OffloadKind) -> None:
        self.kind, self.device = kind, torch.device("cpu")
        self.moves = self.now = self.peak = 0

    def move(self, tensor: Tensor) -> Tensor:
        """A copy."""
        copy, size = tensor.clone(), tensor.numel() * tensor.element_size()
        self.moves, self.now = self.moves + 1, self.now + size
        self.peak = max(self.peak, self.now)
        weakref.finalize(copy.untyped_storage(), self.free, size)
        return copy

    def free(self, size: int) -> None:
        """A copy was let go."""
        self.now -= size


def bytes_of(*networks: Any) -> int:
    return sum(one.numel() * one.element_size() for network in networks for one in network.state_dict().values())


def draw(pipeline: ControlPipeline, network: ControlNet) -> Tensor:
    control = Control(network, to_image(torch.zeros(3, 64, 64).index_fill(2, torch.tensor([20, 40]), 1.0)))
    return pipeline("a red house", [control], num_inference_steps=2, seed=3, num_images=2).latents


def test_pictures_are_the_same_and_weights_are_brought_when_they_compute() -> None:
    base, network = StableDiffusion.from_pretrained("tiny"), ControlNet.from_pretrained("tiny-canny")
    expected, peaks = draw(ControlPipeline(base).optimize(runtime="torch"), network), dict[str, int]()
    places = [one.data_ptr() for part in (*base.networks, network) for one in part.state_dict().values()]
    for kind in KINDS:
        pipeline = ControlPipeline(base)
        pipeline.ways.offload = device = Device(kind)
        assert torch.equal(draw(pipeline, network), expected)
        assert device.moves > 0
        peaks[kind] = device.peak
        assert [one.data_ptr() for part in (*base.networks, network) for one in part.state_dict().values()] == places
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in base.unet.modules())
    assert peaks["model"] < bytes_of(*base.networks), "never all networks at a time"
    assert peaks["sequential"] < bytes_of(base.unet) / 4, "a layer at a time"


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_back_after_an_error(kind: OffloadKind) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2))
    places, device = [one.data_ptr() for one in network.state_dict().values()], Device(kind)
    with pytest.raises(RuntimeError), device.use(network):
        network(torch.randn(3, 5))
    assert [one.data_ptr() for one in network.state_dict().values()] == places
    assert torch.isfinite(network.eval()(torch.randn(3, 4))).all()


def test_without_a_gpu_it_is_refused_in_one_line() -> None:
    pipeline = ControlPipeline(StableDiffusion.from_pretrained("tiny"))
    for kind in KINDS:
        with pytest.raises(InputError, match=f"offload {kind} is for a GPU; the device is cpu"):
            pipeline.optimize(offload=kind)
