"""The controlled U-Net by torch's own compiler: fused layers, and on a GPU no call from Python for each of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zeroconv.control import ActiveControl, ControlledUNet, ControlNet
from zeroconv.control.controlled_unet import add_controls
from zeroconv.control.decoder import Decoder
from zeroconv.control.residuals import Residuals
from zeroconv.control.reuse import Reuse
from zeroconv.messages import Message, tell
from zeroconv.runtime.proof import ALLOWED, difference
from zeroconv.stable_diffusion.unet import AddedConditions, Encoded, decode, encode

__all__ = ["CompiledUNet"]

KEPT = 8
"""Kinds of steps (sizes, networks) that stay compiled; a GPU holds the features of each in a memory pool."""


def compiler(device: torch.device) -> dict[str, Any]:
    """Arguments of `torch.compile`: on a GPU steps are recorded as CUDA graphs. Shapes are fixed: each is compiled anew."""
    return {"dynamic": False, "mode": "reduce-overhead" if device.type == "cuda" else "default"}


def errors() -> type[Exception]:
    """What the compiler raises. Imported late: it takes a second."""
    from torch._dynamo.exc import TorchDynamoException

    return TorchDynamoException


def run_network(network: ControlNet, z_t: Tensor, t: Tensor, text: Tensor, rest: dict[str, Any]) -> Residuals:
    """The residuals of a ControlNet; `rest` is what `ControlNet.forward` takes by name."""
    return network(z_t, t, text, **rest)


class CompiledUNet:
    """`compiled(z_t, t, text, controls)` predicts like `ControlledUNet`, by `torch.compile`.

    Locked encoder, each ControlNet and locked decoder are compiled when a size is first seen, which takes a minute or
    several, and anew when their layers change; changed weights need nothing. The first step of each kind is computed by the
    networks as they are, too: where the two differ by more than 1e-5 in float32, or nothing can be compiled (no compiler,
    layers that it does not take), the networks run as they are from then on, and that is told.

    Args:
        unet: a diffusers `UNet2DConditionModel`. On a GPU its layers, and those of ControlNets, are laid out channels last.

    Raises:
        ValueError: for a U-Net of a family that is not understood.
    """

    def __init__(self, unet: Any) -> None:
        self.plain, self.works = ControlledUNet(unet), True
        self.proven: set[object] = set()
        how = compiler(next(unet.parameters()).device)
        self.encode: Callable[..., Encoded] = torch.compile(encode, **how)
        self.decode: Callable[..., Tensor] = torch.compile(decode, **how)
        self.network: Callable[..., Residuals] = torch.compile(run_network, **how)

    @torch.no_grad()
    def __call__(
        self,
        z_t: Tensor,
        t: Tensor | float,
        text: Tensor,
        controls: Sequence[ActiveControl] = (),
        added_conditions: AddedConditions | None = None,
        decoder: Decoder | None = None,
        reuse: Reuse | None = None,
    ) -> Tensor:
        """The prediction, (B, C, h, w); arguments as of `ControlledUNet.forward`.

        Steps that leave something out run as they are: what they use again would lie in memory that the next step overwrites.
        """
        given = (z_t, t, text, controls, added_conditions, decoder, reuse)
        if not self.works or (reuse is not None and max(reuse.control_every, reuse.encoder_every) > 1):
            return self.plain(*given)
        networks = [id(control.network) for control in controls]
        kind = z_t.shape, z_t.dtype, z_t.device, text.shape, *networks, *(str(one.rows) for one in controls), id(decoder)
        if kind not in self.proven and len(self.proven) >= KEPT:
            torch.compiler.reset()
            self.proven.clear()
        try:
            found = self.compute(z_t, torch.as_tensor(t, device=z_t.device), text, controls, added_conditions, decoder)
        except errors() as failed:
            said = str(getattr(failed, "inner_exception", failed))
            reason = next((line for line in said.splitlines() if line.strip()), type(failed).__name__)[:200]
            return self.give_up(f"they could not be compiled here ({reason})", given)
        if kind not in self.proven:
            error = difference(found, self.plain(*given))
            if error > (allowed := ALLOWED.get(z_t.dtype, 0.0)):
                return self.give_up(f"compiled they differ by {error:.1e} of the result, more than {allowed:.0e}", given)
            self.proven.add(kind)
        return found

    def give_up(self, reason: str, given: tuple[Any, ...]) -> Tensor:
        """From now on the networks run as they are, which is told."""
        self.works = False
        tell(Message(f"the networks run as they are: {reason}", "runtime.not-compiled"))
        return self.plain(*given)

    def compute(
        self,
        z_t: Tensor,
        t: Tensor,
        text: Tensor,
        controls: Sequence[ActiveControl],
        added_conditions: AddedConditions | None,
        decoder: Decoder | None,
    ) -> Tensor:
        """A step by what is compiled, in memory of its own."""
        if z_t.device.type == "cuda":
            z_t = z_t.contiguous(memory_format=torch.channels_last)
            for network in (
                self.plain.unet,
                *(control.network for control in controls),
                *(() if decoder is None else (decoder,)),
            ):
                lay_out(network)

        def compiled(network: ControlNet) -> Any:
            return lambda z_t, t, text, **rest: self.network(network, z_t, t, text, rest)

        torch.compiler.cudagraph_mark_step_begin()
        encoded = self.encode(self.plain.unet, z_t, t, text, added_conditions)
        acting = [replace(control, network=compiled(control.network)) for control in controls]
        encoded = add_controls(encoded, acting, z_t, t, text, added_conditions)
        last = self.plain.unet if decoder is None else decoder
        return self.decode(last, encoded, text).clone(memory_format=torch.contiguous_format)


def lay_out(network: Any) -> None:
    """Convolutions channels last, once: their values stay the same."""
    first = next((one for one in network.modules() if isinstance(one, torch.nn.Conv2d) and one.kernel_size != (1, 1)), None)
    if first is not None and not first.weight.is_contiguous(memory_format=torch.channels_last):
        network.to(memory_format=torch.channels_last)
