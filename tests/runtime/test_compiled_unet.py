"""The controlled U-Net compiled: what it computes, when it is compiled anew, and when it runs as it is.

Traced by torch's compiler, with a back end that runs the traced graphs as they are: how kernels are made of them is torch's.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.tiny import build_control, build_map, numbers
from zeroconv.control import ActiveControl, ControlledUNet, ControlNet
from zeroconv.control.reuse import Reuse
from zeroconv.images import to_tensor
from zeroconv.messages import Message, listen
from zeroconv.runtime import compiled_unet
from zeroconv.runtime.choice import run_unet
from zeroconv.runtime.compiled_unet import CompiledUNet
from zeroconv.stable_diffusion import StableDiffusion

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own modules, as the compiler is imported

CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}
BackEnd = Callable[[Any, list[Tensor]], Callable[..., Any]]


class Traced:
    """A back end that counts graphs."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: Any, _: list[Tensor]) -> Callable[..., Any]:
        self.graphs += 1
        return graph.forward


def use(monkeypatch: pytest.MonkeyPatch, backend: BackEnd) -> None:
    torch.compiler.reset()
    monkeypatch.setattr(compiled_unet, "compiler", lambda _device: {"dynamic": False, "backend": backend})


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traced]:
    backend = Traced()
    use(monkeypatch, backend)
    yield backend
    torch.compiler.reset()


@pytest.fixture(scope="module")
def network(nano: StableDiffusion) -> ControlNet:
    return build_control(nano.unet, seed=1).requires_grad_(False)


def step(nano: StableDiffusion, network: ControlNet, side: int = 8, **more: Any) -> tuple[Any, ...]:
    """Arguments of a step under one control."""
    features = network.encode_condition(to_tensor(build_map(8 * side, 8 * side))[None])
    z_t, text = numbers(2, 4, side, side), numbers(2, 7, nano.unet.config.cross_attention_dim)
    return z_t, torch.tensor(500), text, [ActiveControl(network, features, **more)]


@torch.no_grad()
def test_predicts_what_the_networks_do_and_is_compiled_once(nano: StableDiffusion, network: ControlNet, traced: Traced) -> None:
    """At any step, under weights and masks, and with weights that changed."""
    compiled, plain = run_unet(nano.unet, "compile"), ControlledUNet(nano.unet)
    z_t, t, text, controls = step(nano, network)
    before = compiled(z_t, t, text, controls)
    torch.testing.assert_close(before, plain(z_t, t, text, controls), **CLOSE)
    assert (graphs := traced.graphs) >= 3, "the encoder, the control and the decoder"
    weighted = [
        ActiveControl(network, controls[0].features, weights=torch.linspace(0, 1, 5), mask=torch.ones(1, 1, 64, 64) / 2)
    ]
    for other in (t - 200, 7):
        torch.testing.assert_close(compiled(z_t, other, text, weighted), plain(z_t, other, text, weighted), **CLOSE)
    weight = network.get_parameter("conv_in.weight")
    weight.mul_(1.5)
    try:
        expected = plain(z_t, t, text, controls)
        torch.testing.assert_close(compiled(z_t, t, text, controls), expected, **CLOSE)
        assert not torch.allclose(before, expected, **CLOSE) and traced.graphs == graphs
    finally:
        weight.div_(1.5)


def fails(_graph: Any, _inputs: list[Tensor]) -> Callable[..., Any]:
    raise RuntimeError("no compiler on this machine")


@pytest.mark.parametrize("said", ["no compiler on this machine", "compiled they differ by 1.0e-02"])
def test_networks_that_cannot_be_compiled_run_as_they_are(
    nano: StableDiffusion, network: ControlNet, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, fails)
    compiled, plain, given, told = CompiledUNet(nano.unet), ControlledUNet(nano.unet), step(nano, network), list[Message]()
    if "differ" in said:
        monkeypatch.setattr(compiled, "compute", lambda *args: 1.01 * plain(*args))
    with listen(told.append):
        found = [compiled(*given) for _ in range(2)]
    assert all(torch.equal(one, plain(*given)) for one in found)
    assert [message.code for message in told] == ["runtime.not-compiled"] and said in told[0].text and "\n" not in told[0].text
    torch.compiler.reset()


def test_only_some_sizes_stay_compiled(nano: StableDiffusion, network: ControlNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled is let go before one more than eight is."""
    resets = list[int]()
    monkeypatch.setattr(torch.compiler, "reset", lambda: resets.append(len(compiled.proven)))
    compiled, plain = CompiledUNet(nano.unet), ControlledUNet(nano.unet)
    monkeypatch.setattr(compiled, "compute", plain)
    for side in (2, 4, 6, 8, 10, 12, 14, 16, 16, 2):
        compiled(*step(nano, network, side)[:3])
    assert not resets and len(compiled.proven) == 8
    compiled(*step(nano, network, 18)[:3])
    assert resets == [8] and len(compiled.proven) == 1


def test_steps_that_use_something_again_run_as_they_are(nano: StableDiffusion, network: ControlNet, traced: Traced) -> None:
    compiled, given = CompiledUNet(nano.unet), step(nano, network)
    found = compiled(*given, reuse=Reuse(control_every=2))
    assert torch.equal(found, ControlledUNet(nano.unet)(*given)) and traced.graphs == 0
