"""`variant="lora"`: the copy is the locked encoder itself plus updates of low rank; nobody can touch the base through it."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.tiny import FAMILIES, build_control, build_inputs, build_pooled, build_unet, copies, numbers, randomized, unchanged
from zeroconv import StableDiffusion
from zeroconv.checkpoints import read_safetensors
from zeroconv.checkpoints.architecture.unet_shape import UNetShape
from zeroconv.checkpoints.formats.control_lora import to_control_lora
from zeroconv.checkpoints.formats.controlnet import ControlNetFile
from zeroconv.checkpoints.formats.controlnet_config import OWN_KEY
from zeroconv.checkpoints.keys.controlnet import controlnet_table
from zeroconv.control import ActiveControl, ControlledUNet, ControlNet
from zeroconv.control.low_rank import LoRALayer, borrowed_vectors, lora_layers, update_rank
from zeroconv.stable_diffusion.unet import encode, run_encoder


def low_rank(unet: Any, seed: int | None = None, **settings: Any) -> ControlNet:
    return build_control(unet, seed, variant="lora", **settings)


@pytest.fixture(scope="module")
def own_unet() -> Any:
    """A U-Net of this file's own, which training must not change."""
    return build_unet(seed=4)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_newborn_copy_is_the_encoder_and_changes_no_prediction(family: str) -> None:
    unet = build_unet(FAMILIES[family])
    (z_t, t, text, condition), pooled, network = build_inputs(unet), build_pooled(unet), low_rank(unet)
    locked = encode(unet, z_t, t, text, pooled)
    skips, middle = run_encoder(network, network.conv_in(z_t), locked.embedding, text)
    assert all(torch.equal(a, b) for a, b in zip((*skips, middle), (*locked.skips, locked.middle), strict=True))
    control = ActiveControl(network, network.encode_condition(condition))
    controlled = ControlledUNet(unet)
    assert torch.equal(controlled(z_t, t, text, [control], pooled), controlled(z_t, t, text, added_conditions=pooled))


def test_parameters_and_state_are_its_own_tensors_alone(unet: Any) -> None:
    network = low_rank(unet, rank=3)
    own = {name for name, _ in network.named_parameters()}
    layers = {
        name: module
        for name, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and not name.startswith(("up_blocks", "conv_out"))
    }
    updates = {f"{name}.{part}" for name in layers for part in ("down", "up")}
    assert own == set(network.state_dict()) and {name for name in own if not name.startswith("controlnet_")} == updates
    of_base = {parameter.data_ptr() for parameter in unet.parameters()}
    assert not of_base & {parameter.data_ptr() for parameter in network.parameters()}
    for name, layer in layers.items():
        expected = update_rank(3, len(layer.weight), layer.weight[0].numel())
        assert len(network.get_parameter(f"{name}.down")) == network.get_parameter(f"{name}.up").shape[1] == expected


def test_every_layer_of_the_copy_is_the_bases_own(unet: Any) -> None:
    layers = lora_layers(low_rank(unet))
    held = {id(parameter) for layer in layers.values() for parameter in layer.layer.parameters()}
    encoder = [p for n, p in unet.named_parameters() if not n.startswith(("up_blocks.", "conv_norm_out.", "conv_out."))]
    assert held == {id(parameter) for parameter in encoder}
    assert all(layer.layer is unet.get_submodule(name) for name, layer in layers.items())


@given(rank=st.integers(1, 10**6), out=st.integers(1, 2000), inside=st.integers(1, 20000))
def test_an_update_has_at_most_an_eighth_of_its_layers_numbers(rank: int, out: int, inside: int) -> None:
    r = update_rank(rank, out, inside)
    assert 1 <= r <= rank
    assert r == 1 or 8 * r * (out + inside) <= out * inside
    assert r == rank or 8 * (r + 1) * (out + inside) > out * inside


def train(controlled: ControlledUNet, network: ControlNet, steps: int) -> list[set[str]]:
    """A few optimizer steps; the names of the parameters that got a gradient at each."""
    z_t, t, text, condition = build_inputs(controlled.unet, batch=1, side=16)
    wanted, awake = numbers(*z_t.shape, seed=9), list[set[str]]()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        control = ActiveControl(network, network.encode_condition(condition))
        (controlled(z_t, t, text, [control]) - wanted).square().mean().backward()
        awake.append({name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()})
        optimiser.step()
    return awake


def test_gradients_wake_up_in_order_and_the_base_sleeps_on(own_unet: Any) -> None:
    """The paper's order with one more step: connections, then `up`, then `down`, as B is zero until it has moved."""
    before = copies(own_unet.state_dict().items())
    places = {name: tensor.data_ptr() for name, tensor in own_unet.state_dict().items()}
    network = low_rank(own_unet)
    awake = train(ControlledUNet(own_unet), network, 3)
    names = {name for name, _ in network.named_parameters()}
    output = {name for name in names if name.startswith(("controlnet_down_blocks.", "controlnet_mid_block."))}
    entrance = {name for name in names if name.startswith("controlnet_cond_embedding.conv_out.")}
    up = {name for name in names if name.endswith(".up")}
    assert awake == [output, output | up | entrance, names]
    assert unchanged(own_unet, before) and not own_unet.training
    assert places == {name: tensor.data_ptr() for name, tensor in own_unet.state_dict().items()}
    assert all(p.grad is None and not p.requires_grad for p in own_unet.parameters())


def test_nothing_done_to_the_network_reaches_the_base() -> None:
    unet = build_unet(seed=5).requires_grad_(True)
    before = copies(unet.state_dict().items())
    network = low_rank(unet, seed=1)
    network.requires_grad_(True).train().to(torch.bfloat16)
    assert {p.dtype for p in network.parameters()} == {torch.bfloat16} and {p.dtype for p in unet.parameters()} == {
        torch.float32
    }
    assert not any(p.requires_grad for layer in lora_layers(network).values() for p in layer.layer.parameters())
    network.load_state_dict({name: tensor + 1 for name, tensor in network.state_dict().items()})
    assert unchanged(unet, before)


def test_where_the_base_goes_its_copy_follows() -> None:
    unet = build_unet(seed=6)
    network, inputs = low_rank(unet, seed=1), build_inputs(unet)
    with torch.no_grad():
        single = network(*inputs)
        unet.double()
        z_t, t, text, condition = (x.double() if x.is_floating_point() else x for x in inputs)
        double = network.double()(z_t, t, text, condition)
    assert all(
        torch.allclose(a, b.float(), rtol=1e-3, atol=1e-4) for a, b in zip(single.values(), double.values(), strict=True)
    )


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_written_out_it_is_a_full_network_that_diffusers_opens(family: str, tmp_path: Path) -> None:
    unet = build_unet(FAMILIES[family])
    (z_t, t, text, condition), pooled, network = build_inputs(unet), build_pooled(unet), low_rank(unet, seed=1)
    full = network.merge_lora()
    assert full.config.variant == "full" and network.config.variant == "lora"
    assert full.state_dict().keys() == build_control(unet).state_dict().keys()
    residuals = network(z_t, t, text, condition, added_conditions=pooled)
    for one, two in zip(residuals.values(), full(z_t, t, text, condition, added_conditions=pooled).values(), strict=True):
        assert (one - two).abs().max() <= 1e-5 * one.abs().max().clamp_min(1)
    theirs: Any = ControlNetModel.from_pretrained(full.save_pretrained(tmp_path), use_safetensors=True, low_cpu_mem_usage=False)
    assert all(torch.equal(tensor, full.state_dict()[name]) for name, tensor in theirs.state_dict().items())
    assert all(p.requires_grad for p in full.parameters())


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_saved_and_opened_it_is_the_same(family: str, tmp_path: Path) -> None:
    unet = build_unet(FAMILIES[family])
    (z_t, t, text, condition), pooled, network = build_inputs(unet), build_pooled(unet), low_rank(unet, seed=1, base="random")
    again = ControlNet.from_pretrained(network.save_pretrained(tmp_path / "saved", torch.float32), unet=unet)
    assert [p.name for p in (tmp_path / "saved").glob("*.safetensors")] == ["control-lora.safetensors"]
    assert again.config.class_name == "ZeroconvControlNet"
    assert again.config == network.config and again.config.rank == 16
    assert unchanged(again, network.state_dict()) and all(p.requires_grad for p in again.parameters())
    ours, theirs = (n(z_t, t, text, condition, added_conditions=pooled) for n in (network, again))
    assert all(torch.equal(one, two) for one, two in zip(ours.values(), theirs.values(), strict=True))


@pytest.mark.parametrize("alone", [False, True], ids=["folder", "file alone"])
@torch.no_grad()
def test_opened_again_it_borrows_biases_and_norms_of_whatever_base(unet: Any, alone: bool, tmp_path: Path) -> None:
    network, other = low_rank(unet, seed=1), randomized(build_unet(seed=7), 8)
    network.save_pretrained(tmp_path, torch.float32)
    place = tmp_path / "control-lora.safetensors" if alone else tmp_path
    for base in (unet, other):
        opened = ControlNet.from_pretrained(place, unet=base)
        assert opened.config.vectors == network.config.vectors == "borrowed"
        assert [n for n, p in opened.named_parameters() if p.requires_grad] == [n for n, _ in network.named_parameters()]
        assert unchanged(opened, network.state_dict())
        assert all(layer.layer is base.get_submodule(name) for name, layer in lora_layers(opened).items())
        moved, inputs = network.transfer(unet, base), build_inputs(unet)
        assert all(torch.equal(one, two) for one, two in zip(moved(*inputs).values(), opened(*inputs).values(), strict=True))


@pytest.mark.parametrize("share", [1, 2, 3])
def test_vectors_of_its_own_stay_its_own_and_no_others(unet: Any, share: int, tmp_path: Path) -> None:
    """A stranger's file with every bias and norm, every second or every third: so it comes back."""
    table = controlnet_table(UNetShape.of_config(unet.config))
    network = low_rank(unet, seed=1)
    vectors = {name: tensor + 1 for name, tensor in list(borrowed_vectors(network).items())[::share]}
    stranger = ControlNet.from_file(
        ControlNetFile(None, to_control_lora({**network.state_dict(), **vectors}, table), "control-lora", tmp_path), unet
    )
    assert set(stranger.state_dict()) == set(network.state_dict()) | set(vectors)
    assert stranger.config.vectors == (tuple(sorted(vectors)) if share > 1 else None)
    opened = ControlNet.from_pretrained(stranger.save_pretrained(tmp_path, torch.float32), unet=unet)
    assert opened.state_dict().keys() == stranger.state_dict().keys() and unchanged(opened, stranger.state_dict())
    assert opened.config == stranger.config


def test_saved_in_half_precision_unless_said_otherwise(unet: Any, tmp_path: Path) -> None:
    def types(network: ControlNet, *dtype: torch.dtype) -> set[torch.dtype]:
        (file,) = network.save_pretrained(tmp_path / network.config.variant, *dtype).glob("*.safetensors")
        return {tensor.dtype for tensor in read_safetensors(file).values()}

    network = low_rank(unet, seed=1)
    assert types(network) == {torch.float16} and types(network, torch.float32) == {torch.float32}
    assert types(build_control(unet)) == {torch.float32}


@pytest.mark.parametrize("vectors", [5, "all", ["a", 1], {"a": 1}])
def test_settings_that_cannot_say_whose_the_vectors_are_are_refused(unet: Any, vectors: Any, tmp_path: Path) -> None:
    path = low_rank(unet).save_pretrained(tmp_path) / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config[OWN_KEY]["vectors"] = vectors
    path.write_text(json.dumps(config), "utf-8")
    with pytest.raises(
        ValueError, match=r"config.json describes no ControlNet: vectors is .*; expected null, 'borrowed' or a list"
    ):
        ControlNet.from_pretrained(tmp_path, unet=unet)


def test_a_copied_network_borrows_from_the_same_base(unet: Any) -> None:
    network = low_rank(unet, seed=1)
    again = copy.deepcopy(network)
    assert all(layer.layer is unet.get_submodule(name) for name, layer in lora_layers(again).items())
    assert unchanged(again, network.state_dict())
    ours, theirs = ({p.data_ptr() for p in n.parameters()} for n in (network, again))
    assert not ours & theirs


def test_without_its_base_or_on_another_it_is_refused(unet: Any, tmp_path: Path) -> None:
    network = low_rank(unet, seed=1, base="random")
    network.save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"is a Control-LoRA, offsets from its base \(random\): open it on a base, .*unet=base"
    ):
        ControlNet.from_pretrained(tmp_path)
    network.check_base(unet)
    network.check_base(copy.deepcopy(unet))  # equal weights
    with pytest.raises(ValueError, match=r"^this low-rank ControlNet borrows the weights of another base than the one given"):
        network.check_base(build_unet(seed=7))
    with pytest.raises(ValueError, match=r"for a network of text width 16, the base is a network of text width 24"):
        ControlNet.from_pretrained(tmp_path, unet=build_unet({**FAMILIES["sd15"], "cross_attention_dim": 24}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "rank is 0; expected 1 or more"),
        ({"rank": None}, "variant 'lora' needs a rank for its new updates, got None"),
        ({"condition_encoder": "paper"}, "takes the released condition encoder with 4 widths, got 'paper' with 4"),
        (
            {"conditioning_embedding_out_channels": (8, 8)},
            "takes the released condition encoder with 4 widths, got 'released' with 2",
        ),
    ],
)
def test_what_no_file_could_hold_is_refused_at_birth(unet: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        low_rank(unet, **settings)


@torch.no_grad()
def test_a_layer_with_everything_of_its_own_is_the_layer_written_out() -> None:
    for layer, x in ((nn.Conv2d(4, 6, 3, stride=2, padding=1), numbers(2, 4, 9, 9)), (nn.Linear(4, 6), numbers(2, 5, 4))):
        borrowed, shape = LoRALayer(layer), layer.weight.shape
        assert torch.equal(borrowed(x), layer(x)) and not list(borrowed.parameters())
        own = {"weight": numbers(*shape), "bias": numbers(6, seed=1), "up": numbers(6, 2), "down": numbers(2, *shape[1:])}
        before = layer.weight.clone()
        borrowed.load(own, "layer")
        written: Any = borrowed.merge()
        assert torch.allclose(borrowed(x), written(x), atol=1e-5)
        assert torch.equal(layer.weight, before) and not torch.allclose(borrowed(x), layer(x), atol=1e-1)
        assert torch.allclose(written.weight, own["weight"] + (own["up"] @ own["down"].flatten(1)).reshape(shape), atol=1e-6)


def test_on_the_tiny_base_at_rank_16_it_is_below_1_mb(tmp_path: Path) -> None:
    unet = StableDiffusion.from_pretrained("tiny").unet
    network = ControlNet.from_unet(unet, variant="lora", rank=16, conditioning_embedding_out_channels=(8, 16, 32, 64))
    network.save_pretrained(tmp_path)
    size = (tmp_path / "control-lora.safetensors").stat().st_size
    assert size < 1_000_000
    connections = sum(p.numel() for n, p in network.named_parameters() if n.startswith(("controlnet_down", "controlnet_mid")))
    assert 0.1 < 2 * connections / size < 0.25  # a fifth or so is zero convolutions
