"""Narrow types compute, float32 masters learn; a base in few bits; recomputed blocks; every state resumes to the same bits."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from tests.tiny import (
    NANO,
    SD15,
    SD21,
    SDXL,
    build_base,
    build_control,
    build_inputs,
    build_pooled,
    build_unet,
    copies,
    numbers,
    unchanged,
)
from tests.training.conftest import Settings
from zeroconv.control import ActiveControl, ControlledUNet, ControlNet
from zeroconv.diffusion import NoiseSchedule
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training import Event, ProbeEvent, train
from zeroconv.training.data.batches import Batch
from zeroconv.training.loop import TrainingLoss, optimize
from zeroconv.training.parts import lock_and_build
from zeroconv.training.precision.compute_copy import ComputeCopy
from zeroconv.training.precision.locked_base import Float32Encoders, lock_base
from zeroconv.training.precision.loss_scale import LossScale
from zeroconv.training.precision.quantized import QuantizedDtype, QuantizedLayer, QuantizedWeight
from zeroconv.training.run_folder.checkpoints import Checkpoints


def batch_for(unet: Any) -> Batch:
    z_0, t, text, condition = build_inputs(unet, batch=2)
    return Batch(z_0, text, condition, t, numbers(*z_0.shape, seed=9), build_pooled(unet, batch=2))


def build_loss(unet: Any, network: ControlNet, **options: Any) -> TrainingLoss:
    return TrainingLoss(ControlledUNet(unet), network.train(), NoiseSchedule.scaled_linear(), "epsilon", **options)


def loss_and_gradients(loss: TrainingLoss, batch: Batch) -> dict[str, Tensor]:
    """Of the network's own parameters, by name, and the loss."""
    loss.zero_grad()
    value = loss(batch)
    value.backward()
    return {"loss": value.detach()} | {
        name: p.grad.clone() for name, p in loss.network.named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize(
    ("family", "variant", "dtype"),
    [
        (SD15, "full", torch.float32), (SD15, "full", torch.bfloat16), (SD15, "lite", torch.float32),
        (SD21, "lora", torch.float32), (SDXL, "full", torch.float32),
    ],
)  # fmt: skip
def test_recomputed_blocks_change_no_bit(family: dict[str, Any], variant: Any, dtype: torch.dtype) -> None:
    unet = build_unet(family)
    network, batch, before = build_control(unet, seed=1, variant=variant), batch_for(unet), torch.get_rng_state()
    plain = loss_and_gradients(build_loss(unet, network, dtype=dtype), batch)
    assert len(plain) > 60
    for encoder, decoder in ((True, False), (False, True), (True, True)):
        loss = build_loss(unet, network, dtype=dtype, recompute_encoder=encoder, recompute_decoder=decoder)
        found = loss_and_gradients(loss, batch)
        assert found.keys() == plain.keys() and all(torch.equal(found[name], plain[name]) for name in plain)
        assert {name for name, _ in loss.named_parameters()} >= {f"network.{name}" for name, _ in network.named_parameters()}
    assert torch.equal(torch.get_rng_state(), before)


def kept_for_the_backward_pass(loss: TrainingLoss, batch: Batch) -> int:
    """Bytes of what the graph keeps, weights left out; what recomputed blocks keep inside is not among them."""
    weights = {p.untyped_storage().data_ptr() for p in loss.parameters()}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = loss(batch)
    del kept
    return sum(found.values())


def test_recomputed_blocks_keep_less() -> None:
    unet = build_unet()
    network, batch = build_control(unet, seed=1), batch_for(unet)
    plain, encoder, decoder, both = (
        kept_for_the_backward_pass(build_loss(unet, network, recompute_encoder=one, recompute_decoder=other), batch)
        for one, other in ((False, False), (True, False), (False, True), (True, True))
    )
    assert both < min(encoder, decoder) and max(encoder, decoder) < 0.9 * plain


def test_a_compute_copy_in_float32_is_the_network(unet: Any) -> None:
    network, (z_t, t, text, condition) = build_control(unet, seed=1), build_inputs(unet)
    twin = ComputeCopy(network, torch.float32)
    assert not list(twin.parameters())
    for scale in (1.0, 0.5):  # the masters' weights, whatever they are now
        with torch.no_grad():
            for parameter in network.parameters():
                parameter *= scale
        twin.refresh()
        found = twin(z_t, t, text, features=twin.encode_condition(condition))
        wanted = network(z_t, t, text, condition)
        assert all(torch.equal(found[site], wanted[site]) for site in wanted)


@pytest.mark.parametrize(("dtype", "variant"), [(torch.bfloat16, "full"), (torch.bfloat16, "lora"), (torch.float16, "full")])
def test_narrow_gradients_are_those_of_float32_but_for_rounding(dtype: torch.dtype, variant: Any) -> None:
    unet: Any = build_unet(SD15 if dtype == torch.bfloat16 else NANO)  # a CPU takes its time for float16
    network, batch = build_control(unet, seed=1, variant=variant), batch_for(unet)
    wide = loss_and_gradients(build_loss(unet, network), batch)
    locked = unet if variant == "lora" else copy.deepcopy(unet).to(dtype)  # a low-rank network borrows its base's layers
    if variant == "lora":
        unet.to(dtype)
    found = loss_and_gradients(build_loss(locked, network, dtype=dtype), batch)
    assert all(tensor.dtype == torch.float32 for tensor in found.values())
    assert found["loss"].item() == pytest.approx(wide["loss"].item(), rel=2e-2)
    one, other = (torch.cat([tensors[name].flatten() for name in wide if name != "loss"]) for tensors in (found, wide))
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.99


def test_a_step_below_the_resolution_of_bfloat16_moves_the_masters(unet: Any) -> None:
    """Weights near 1 are 2^-7 apart in bfloat16: an update of 1e-5 would be lost for ever without masters."""
    network, batch = build_control(unet, seed=1), batch_for(unet)
    before = copies(network.named_parameters())
    groups = [{"params": list(network.parameters()), "lr": 1e-5, "full_lr": 1e-5}]
    loss = build_loss(copy.deepcopy(unet).bfloat16(), network, dtype=torch.bfloat16)
    list(optimize(loss, lambda _: [batch], torch.optim.AdamW(groups, weight_decay=0), lambda _: 1.0, 1.0, range(3)))
    norm = "down_blocks.0.resnets.0.norm1.weight"
    moved = dict(network.named_parameters())[norm]
    assert moved.dtype == torch.float32 and not torch.equal(moved, before[norm])
    assert 0 < (moved - before[norm]).abs().max() < 4e-5
    assert torch.equal(moved.bfloat16(), before[norm].bfloat16())


class Overflowing(nn.Module):
    """w · x, whose gradient overflows above a loss scale."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.weight, self.limit, self.scales = nn.Parameter(torch.ones(())), limit, list[float]()

    def forward(self, x: Tensor) -> Tensor:
        loss = self.weight * x
        loss.register_hook(self.overflow)
        return loss

    def overflow(self, gradient: Tensor) -> Tensor:
        self.scales.append(gradient.item())
        return gradient * torch.inf if gradient > self.limit else gradient


def overflowing_steps(limit: float, steps: range, scale: LossScale) -> Overflowing:
    model: Any = Overflowing(limit)
    groups = [{"params": list(model.parameters()), "lr": 0.25, "full_lr": 0.25}]
    batch: Any = torch.tensor(0.5)
    list(optimize(model, lambda _: [batch], torch.optim.SGD(groups), lambda _: 1.0, 9.0, steps, loss_scale=scale))
    return model


def test_an_overflow_lowers_the_scale_and_repeats_the_step() -> None:
    scale = LossScale()
    model = overflowing_steps(2.0**13, range(2), scale)
    assert model.scales == [2.0**16, 2.0**15, 2.0**14, 2.0**13, 2.0**13]
    assert (scale.scale, scale.steps) == (2.0**13, 2)
    assert model.weight.item() == overflowing_steps(2.0**20, range(2), LossScale()).weight.item() == 1 - 2 * 0.125
    restored = LossScale()
    restored.load(scale.tensors)
    assert restored.tensors == scale.tensors


def test_a_scale_grows_after_two_thousand_steps_and_is_not_blamed_at_one() -> None:
    scale = LossScale()
    for _ in range(1999):
        scale.count()
    assert (scale.scale, scale.steps) == (2.0**16, 1999)
    scale.count()
    assert (scale.scale, scale.steps) == (2.0**17, 0)
    with pytest.raises(FloatingPointError, match="the gradient's norm inf"):
        overflowing_steps(0.5, range(1), scale)
    assert (scale.scale, scale.steps) == (2.0**17, 0)


def test_a_step_that_is_left_out_leaves_the_scale_as_it_was() -> None:
    """Else the small gradients of the steps after it would be zero in float16, for some thousand steps each."""
    model: Any = Overflowing(torch.nan)
    scale, batch = LossScale(), torch.tensor(0.5)
    groups = [{"params": list(model.parameters()), "lr": 0.25, "full_lr": 0.25}]
    given: list[Any] = [torch.optim.SGD(groups), lambda _: 1.0, 9.0, range(2)]
    for _ in range(5):
        scale.count()
    model.register_forward_pre_hook(lambda one, _: setattr(one, "limit", 0.5 if len(one.scales) < 17 else 2.0**20))
    states = list(optimize(model, lambda _: cast(Any, [batch]), *given, skip=True, loss_scale=scale))
    assert [state.skipped for state in states] == [True, False] and model.scales == [2.0**i for i in range(16, -1, -1)] + [
        2.0**16
    ]
    assert (scale.scale, scale.steps) == (2.0**16, 6)


def refuse(tensor: Tensor) -> Tensor:
    raise AssertionError(f"a tensor of shape {tuple(tensor.shape)} is kept")


KINDS: dict[QuantizedDtype, float] = {"int8": 0.01, "float8": 0.05, "int4": 0.2}


@pytest.mark.parametrize(("kind", "most"), KINDS.items())
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_quantized_layers_are_layers_with_rounded_weights(kind: QuantizedDtype, most: float, dtype: torch.dtype) -> None:
    """Output and gradient are those of an ordinary layer with the widened weight, and nothing wide is kept."""
    inputs = ((nn.Linear(64, 24), numbers(3, 5, 64)), (nn.Conv2d(64, 8, 3, 2, 1), numbers(2, 64, 6, 6)))
    for layer, x in inputs:
        found, twin = QuantizedLayer(layer, kind, dtype), copy.deepcopy(layer).to(dtype)
        wide = found.quantized.widen()
        assert wide.dtype == dtype and wide.shape == layer.weight.shape
        assert 0 < (wide.float() - layer.weight).norm() / layer.weight.norm() < most
        twin.weight.data.copy_(wide)
        one, other = (x.to(dtype).requires_grad_() for _ in range(2))
        with torch.autograd.graph.saved_tensors_hooks(refuse, refuse):
            y = found(one)
        wanted = twin(other)
        assert torch.equal(y, wanted)
        gradient = numbers(*y.shape, seed=1).to(dtype)
        y.backward(gradient)
        wanted.backward(gradient)
        assert one.grad is not None and other.grad is not None
        assert torch.allclose(one.grad, other.grad, rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_channels_of_zeros_or_nearly_are_zeros_in_float16(kind: QuantizedDtype) -> None:
    """Whose smallest number is 6e-8: no scale may become zero, by which a weight would be divided."""
    weight = torch.stack([torch.zeros(64), torch.full((64,), 1e-9), torch.linspace(-1, 1, 64)])
    wide = QuantizedWeight(weight, kind, torch.float16).widen()
    assert not wide[:2].any() and (wide[2] - weight[2]).abs().max() < 0.08


@pytest.mark.parametrize("kind", ["int8", "float8"])
def test_what_a_type_can_say_is_kept_exactly(kind: QuantizedDtype) -> None:
    values = torch.tensor([[-1.0, 0.0, 0.5, 1.0]]) * {"int8": 127.0, "float8": 448.0}[kind]
    kept = QuantizedWeight(values.round(), kind, torch.float32)
    assert torch.equal(kept.widen(), values.round()) if kind == "float8" else torch.allclose(kept.widen(), values, atol=0.5)
    levels = torch.arange(-7.0, 8.0).repeat(64)[: 64 * 7].view(7, 64)
    assert torch.equal(QuantizedWeight(levels, "int4", torch.float32).widen(), levels)


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusion:
    """A base of the widths of which the bytes are counted."""
    return build_base(tmp_path_factory.mktemp("bases") / "sd15")


@pytest.mark.parametrize(
    ("kind", "most"), [("bfloat16", 2e-2), ("float16", 3e-3), ("int8", 0.03), ("float8", 0.1), ("int4", 0.4)]
)
def test_a_base_in_few_bits_predicts_about_the_same(sd15: StableDiffusion, kind: Any, most: float) -> None:
    base = sd15
    before = copies(base.unet.state_dict().items())
    locked = lock_base(base, kind, torch.float32)
    assert unchanged(base.unet, before) and locked.vae is base.vae and locked.unet is not base.unet
    z_t, t, text, _ = build_inputs(base.unet)
    with torch.no_grad():
        wide = base.unet(z_t, t, text).sample
        found = locked.unet(z_t.to(locked.dtype), t, text.to(locked.dtype)).sample
    assert 0 < (found.float() - wide).norm() / wide.norm() < most
    share, bits = (sum(t.nbytes for t in unet.state_dict().values()) for unet in (locked.unet, base.unet)), kind[-1]
    mine, whole = share
    assert mine < {"6": 0.501, "8": 0.4, "4": 0.35}[bits] * whole  # narrow layers have many scales, and small ones stay
    assert not any(p.requires_grad for p in locked.unet.parameters())


@pytest.mark.parametrize("kind", ["bfloat16", "int8"])
def test_the_copy_begins_from_the_weights_as_they_were(base: StableDiffusion, settings: Settings, kind: Any) -> None:
    locked, network = lock_and_build(settings(base_dtype=kind), base)
    assert all(p.dtype == torch.float32 for p in network.parameters())
    own = dict(base.unet.named_parameters())
    shared = [name for name, _ in network.named_parameters() if name in own]
    assert len(shared) > 50 and all(torch.equal(own[name], network.get_parameter(name)) for name in shared)
    z_t, t, text, condition = build_inputs(base.unet)
    control = ActiveControl(network, network.encode_condition(condition))
    with torch.no_grad():  # identity at initialisation, on the base as it is kept
        if kind == "int8":
            assert torch.equal(ControlledUNet(locked.unet)(z_t, t, text, [control]), locked.unet(z_t, t, text).sample)


def test_low_rank_networks_borrow_from_the_base_as_it_is_kept(base: StableDiffusion, settings: Settings) -> None:
    locked, network = lock_and_build(settings(precision="bf16", variant="lora"), base)
    network.check_base(locked.unet)
    assert all(p.dtype == torch.float32 for p in network.parameters())
    for way in ({"base_dtype": "int4"}, {"base_dtype": "float32", "precision": "bf16"}, {"base_dtype": "float16"}):
        with pytest.raises(InputError, match="borrows the base's weights: base_dtype") as caught:
            lock_and_build(settings(variant="lora", **way), base)
        assert caught.value.field == "model.base_dtype"


def test_latents_and_texts_are_cached_in_full_whatever_the_base_is_kept_in(base: StableDiffusion) -> None:
    locked = lock_base(base, "bfloat16", torch.bfloat16)
    encoders = Float32Encoders(**vars(locked))
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(encoders.encode_images(image), base.encode_images(image))
    assert torch.equal(encoders.encode_text(["a"]).hidden_states, base.encode_text(["a"]).hidden_states)
    assert locked.encode_text(["a"]).hidden_states.dtype == torch.bfloat16


def state(folder: Path) -> dict[str, Tensor]:
    found = Checkpoints(folder / "state").load()
    assert found is not None and found.step == 4
    return dict(found.tensors)


class Killed(BaseException):
    """What no run catches."""


def killed_at(step: int) -> Callable[[Event], None]:
    def report(event: Event) -> None:
        if isinstance(event, ProbeEvent) and event.step == step:
            raise Killed

    return report


WAYS: list[Any] = [
    {"precision": "bf16", "ema_decay": 0.9, "base_dtype": "int4"},
    {"precision": "fp16", "accumulation": 2},
    {"optimizer": "adamw8bit"},
    {"optimizer": "prodigy", "precision": "bf16"},
    *(
        pytest.param(way, marks=pytest.mark.slow)
        for way in (
            {"precision": "bf16", "optimizer": "muon", "base_dtype": "int8", "checkpoint_decoder": True},
            {"precision": "bf16", "variant": "lora", "checkpoint_encoder": True},
            {"base_dtype": "float8"},
            {"fused": True},
        )
    ),
]


@pytest.fixture(scope="module")
def smallest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base of a few thousand parameters."""
    return build_base(tmp_path_factory.mktemp("bases") / "nano", config=NANO).name


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way.values())))
def test_resumed_is_uninterrupted(settings: Settings, smallest: str, tmp_path: Path, way: dict[str, Any]) -> None:
    small: dict[str, Any] = {**way, "base": smallest, "probe_every": 3, "probe_count": 1, "learning_rate": 1e-3}
    if way.get("optimizer") == "prodigy":
        del small["learning_rate"]
    whole, hurt = settings(out=tmp_path / "whole", **small), settings(out=tmp_path / "hurt", **small)
    train(whole)
    with pytest.raises(Killed):
        train(hurt, killed_at(3))
    train(hurt)
    one, other = state(whole.checkpoint.out), state(hurt.checkpoint.out)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert all(tensor.dtype == torch.float32 for name, tensor in one.items() if name.startswith("network."))
    assert ("loss_scale.scale" in one) == (way.get("precision") == "fp16")
    kept = ControlNet.from_pretrained(whole.checkpoint.out / "controlnet", unet=None) if way.get("variant") != "lora" else None
    assert kept is None or all(p.dtype == torch.float32 for p in kept.parameters())
