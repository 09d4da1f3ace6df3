"""The controlled U-Net by OpenVINO: each network compiled once for a shape, proven once, and called as before."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, reduce
from operator import add
from typing import Any

import torch
from torch import Tensor

from zeroconv.control import ActiveControl, ControlNet
from zeroconv.control.controlled_unet import add_residuals
from zeroconv.control.decoder import Decoder
from zeroconv.control.residuals import Residuals
from zeroconv.control.reuse import Reuse
from zeroconv.runtime.encoder import embed_rows, halve
from zeroconv.runtime.openvino.compiled import PRECISIONS, CompiledNetwork
from zeroconv.runtime.openvino.error import error_of, in_float32, widen
from zeroconv.runtime.openvino.kept import CompiledNetworks, Wanted
from zeroconv.runtime.openvino.library import library
from zeroconv.runtime.openvino.networks import Shape, controlnet_graph, unet_graph
from zeroconv.runtime.openvino.store import CompiledStore
from zeroconv.runtime.planned_unet import PlannedUNet
from zeroconv.stable_diffusion.unet import AddedConditions, decode, encode

__all__ = ["OpenVINOUNet"]


class OpenVINOUNet:
    """`fast(z_t, t, text, controls)` predicts like `ControlledUNet`, computed by OpenVINO in the same type.

    U-Net and ControlNets are graphs of their own, compiled when a shape is first seen and anew when their weights change.
    The first step of a newly compiled one is computed by its modules too; one that differs by more than 1e-5 in float32 is
    not used. Whatever OpenVINO does not compute runs by plans, and that is told.

    Args:
        unet: a diffusers `UNet2DConditionModel`.
        store: compiled networks of earlier processes.

    Raises:
        InputError: when OpenVINO is not installed.
        ValueError: for a U-Net of a family that is not understood.
    """

    def __init__(self, unet: Any, store: CompiledStore | None = None) -> None:
        library()
        self.unet, self.planned = unet, PlannedUNet(unet)
        self.networks = CompiledNetworks(CompiledStore() if store is None else store)

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

        Encoder and decoder are one graph, so that steps that leave the encoder out run by plans.
        """
        if reuse is not None and reuse.encoder_every > 1:
            return self.planned(z_t, t, text, controls, added_conditions, decoder, reuse)
        kept = reuse or Reuse()
        self.networks.step += 1
        if z_t.device.type != "cpu" or z_t.dtype not in PRECISIONS:
            kind = str(z_t.dtype).removeprefix("torch.")
            self.networks.refuse("the base", f"it is in {kind} on {z_t.device.type}; expected float32 or bfloat16 on the CPU")
            return self.planned(z_t, t, text, controls, added_conditions, decoder, reuse)
        embedding = embed_rows(self.unet, z_t, t, added_conditions)
        shape, distinct = shape_of(z_t, text, embedding)
        inputs, step = {"z": distinct, "embedding": embedding}, (z_t, t, text, added_conditions)

        def total() -> Residuals | None:
            given = [kept.residuals_of(control.features, partial(self.residuals, control, *step)) for control in controls]
            acting = [residuals for residuals in given if residuals is not None]
            return reduce(add, acting) if acting else None

        def error(compiled: CompiledNetwork) -> float:
            residuals = total()

            def plain(unet: Any, last: Any, to: Callable[[Any], Any]) -> Tensor:
                encoded = encode(unet, to(z_t), t, to(text), added_conditions and added_conditions.map(to))
                if residuals is not None:
                    encoded = add_residuals(encoded, residuals.map(lambda _, residual: to(residual)))
                return decode(last, encoded, to(text))

            found, last = run_unet(compiled, text, inputs, residuals), self.unet if decoder is None else decoder
            expected = plain(self.unet, last, lambda value: value)
            return error_of(found, expected, z_t.dtype, lambda: plain(in_float32(self.unet), in_float32(last), widen))

        parts = [self.unet] if decoder is None else [self.unet, decoder]
        wanted = Wanted("the base", parts, shape, z_t.dtype, lambda: unet_graph(self.unet, shape, decoder), error)
        compiled = self.networks.find(wanted)
        if compiled is None:
            return self.planned(z_t, t, text, controls, added_conditions, decoder, reuse)
        return run_unet(compiled, text, inputs, total()).to(z_t.dtype)

    def residuals(
        self, control: ActiveControl, z_t: Tensor, t: Tensor | float, text: Tensor, added_conditions: AddedConditions | None
    ) -> Residuals | None:
        """What a control adds; see `ActiveControl.residuals`, which does everything but run the network."""

        def run(z_t: Tensor, t: Tensor, text: Tensor, **rest: Any) -> Residuals:
            return self.run_control(control.network, z_t, t, text, **rest)

        return replace(control, network=run).residuals(z_t, t, text, added_conditions)  # type: ignore[arg-type]

    def run_control(
        self,
        network: ControlNet,
        z_t: Tensor,
        t: Tensor,
        text: Tensor,
        *,
        features: Tensor,
        added_conditions: AddedConditions | None,
        control_embedding: Tensor | None = None,
    ) -> Residuals:
        """The residuals of one step; arguments as of `ControlNet.forward`."""
        embedding = embed_rows(network, z_t, t, added_conditions)
        if network.config.union is not None:
            embedding = embedding + (network.embed_condition() if control_embedding is None else control_embedding)
        shape, distinct = shape_of(z_t, text, embedding, features)
        same = len(distinct) < len(z_t)
        inputs = {"z": distinct, "features": halve(features) if same else features, "embedding": embedding}

        def run(compiled: CompiledNetwork) -> Residuals:
            *skips, middle = (one.to(z_t.dtype) for one in compiled(text, **inputs))
            residuals = Residuals.of_unet(skips, middle)
            return residuals.pool() if network.config.global_pool_conditions else residuals

        def plain(way: Any, to: Callable[[Any], Any] = lambda value: value) -> Residuals:
            own = {} if control_embedding is None else {"control_embedding": to(control_embedding)}
            added = added_conditions and added_conditions.map(to)
            return way(to(z_t), t, to(text), features=to(features), added_conditions=added, **own)

        def error(compiled: CompiledNetwork) -> float:
            found, expected = flat(run(compiled)), flat(plain(network))
            return error_of(found, expected, z_t.dtype, lambda: flat(plain(in_float32(network), widen)))

        wanted = Wanted(network.name, [network], shape, z_t.dtype, lambda: controlnet_graph(network, shape), error)
        compiled = self.networks.find(wanted)
        if compiled is not None:
            return run(compiled)
        planned = plain(self.planned.control_plan(network))
        return planned if self.planned.prove_new() else plain(network)


def run_unet(compiled: CompiledNetwork, text: Tensor, inputs: dict[str, Tensor], residuals: Residuals | None) -> Tensor:
    """The prediction, (B, C, h, w), with residuals or with zeros.

    Raises:
        ValueError: when the ControlNet was made for another base.
    """
    sites = {name: tensor for name, tensor in compiled.inputs.items() if name.startswith("residual")}
    given = [torch.zeros(())] * len(sites) if residuals is None else list(residuals.values())
    shapes, expected = [one.shape[1:] for one in given], [one.shape[1:] for one in sites.values()]
    if residuals is not None and shapes != expected:
        raise ValueError(f"the ControlNet gives residuals {shapes}, this base has features {expected}: it was made for another")
    return compiled(text, **inputs, **dict(zip(sites, given, strict=True)))[0]


def shape_of(z_t: Tensor, text: Tensor, embedding: Tensor, features: Tensor | None = None) -> tuple[Shape, Tensor]:
    """What a graph is made for, and the latents as it takes them: of one guidance half, if the halves are equal."""
    half = halve(z_t) if len(embedding) == 1 else z_t
    if features is not None and len(halve(features)) not in (1, len(half)):
        half = z_t
    return Shape(len(z_t), len(half), len(embedding), z_t.shape[2], z_t.shape[3], text.shape[1]), half


def flat(residuals: Residuals) -> Tensor:
    """All of them, one after the other."""
    return torch.cat([residual.flatten() for residual in residuals.values()])
