"""Control-LoRA files: written as other tools read them, read as other tools write them, and the best of a rank."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from torch import Tensor, nn

from tests.tiny import FAMILIES, as_keywords, build_control, build_inputs, build_pooled, build_unet, numbers, randomized
from zeroconv.checkpoints import read_safetensors
from zeroconv.checkpoints.architecture.unet_shape import UNetShape
from zeroconv.checkpoints.formats.control_lora import decompose, from_control_lora, read_control_lora, to_control_lora
from zeroconv.checkpoints.formats.controlnet import ControlNetFile
from zeroconv.checkpoints.keys.controlnet import controlnet_table
from zeroconv.checkpoints.keys.table import Table
from zeroconv.control import ControlNet

Tensors = dict[str, Tensor]


def table_of(unet: Any) -> Table:
    return controlnet_table(UNetShape.of_config(unet.config))


def stranger_file(unet: Any, seed: int = 0) -> Tensors:
    """A file as another tool might write it: ranks that differ, two axes or four, some biases, norms and weights whole."""
    network = build_control(unet, seed=seed)
    full, made = table_of(unet).to_theirs(network.state_dict()), Tensors()
    for i, (name, tensor) in enumerate(full.items()):
        module, _, part = name.rpartition(".")
        if module.startswith(("input_hint_block", "zero_convs", "middle_block_out")):
            made[name] = tensor
        elif tensor.ndim == 1:
            made |= {name: tensor} if i % 3 == 0 else {}
        elif i % 11 == 5:
            made[name] = tensor
        elif i % 7 and part == "weight":
            rank = 1 + i % 4
            axes = [] if i % 2 and tensor.shape[2:].numel() == 1 else [1] * (tensor.ndim - 2)
            made[f"{module}.up"] = numbers(len(tensor), rank, *axes, seed=i) / 4
            made[f"{module}.down"] = numbers(rank, *tensor.shape[1:], seed=i + 1) / tensor[0].numel() ** 0.5
    return {"lora_controlnet": torch.zeros(0), **made}


def weights_by_the_rule(file: Tensors, unet: Tensors, table: Table) -> Tensors:
    """The rule of other tools, said again: the file's tensor if it is there, else the base's, plus up times down."""
    weights = Tensors()
    for entry in table.entries:
        (ours,), module = entry.ours, entry.theirs.removesuffix(".weight")
        weights[ours] = file[entry.theirs] if entry.theirs in file else unet[ours]
        if entry.theirs.endswith(".weight") and f"{module}.up" in file:
            up, down = file[f"{module}.up"], file[f"{module}.down"]
            product = torch.mm(up.reshape(up.shape[0], -1), down.reshape(down.shape[0], -1))
            weights[ours] = weights[ours] + product.view(weights[ours].shape)
    return weights


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_a_strangers_file_gives_the_residuals_of_diffusers(family: str) -> None:
    unet = build_unet(FAMILIES[family])
    file, (z_t, t, text, condition), pooled = stranger_file(unet), build_inputs(unet), build_pooled(unet)
    by_rule = weights_by_the_rule(file, unet.state_dict(), table_of(unet))
    theirs = ControlNetModel.from_unet(unet)
    theirs.load_state_dict(by_rule)
    down, middle = theirs.eval()(z_t, t, text, condition, return_dict=False, **as_keywords(pooled))
    network = ControlNet.from_file(ControlNetFile(None, file, "control-lora", Path("stranger")), unet)
    ours = network(z_t, t, text, condition, added_conditions=pooled)
    assert all((a - b).abs().max() <= 1e-5 * a.abs().max() for a, b in zip((*down, middle), ours.values(), strict=True))
    full = from_control_lora(file, unet.state_dict(), table_of(unet))
    assert full.keys() == by_rule.keys() and all(torch.allclose(full[name], by_rule[name], atol=1e-6) for name in full)
    network.check_base(unet)


def test_a_strangers_file_is_written_back_bit_by_bit_and_trains(unet: Any) -> None:
    file = stranger_file(unet)
    network = ControlNet.from_file(ControlNetFile(None, file, "control-lora", Path("stranger")), unet)
    again = to_control_lora(network.state_dict(), table_of(unet))
    assert again.keys() == file.keys()
    assert all(torch.equal(tensor.flatten(), file[name].flatten()) for name, tensor in again.items())
    z_t, t, text, condition = build_inputs(unet, side=16)
    torch.stack([r.square().mean() for r in network(z_t, t, text, condition).values()]).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_names_are_those_of_other_tools(unet: Any) -> None:
    network = build_control(unet, seed=1, variant="lora", rank=2)
    file = to_control_lora(network.state_dict(), table_of(unet))
    assert file["lora_controlnet"].shape == (0,)
    shapes = {name: tuple(tensor.shape) for name, tensor in file.items()}
    assert shapes["input_blocks.1.0.in_layers.2.down"][1:] == (16, 3, 3)
    assert len(shapes["input_blocks.1.0.in_layers.2.up"]) == 4
    assert len(shapes["middle_block.1.transformer_blocks.0.attn1.to_q.up"]) == 2
    assert {"time_embed.0.up", "input_blocks.3.0.op.down", "zero_convs.0.0.weight", "middle_block_out.0.bias"} <= shapes.keys()
    assert {"input_hint_block.0.weight", "input_hint_block.14.bias"} <= shapes.keys()
    own = read_control_lora(file, table_of(unet))
    assert own.keys() == network.state_dict().keys()


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_decomposed_is_the_nearest_of_its_rank(unet: Any, rank: int) -> None:
    network, of_base = build_control(unet, seed=1), unet.state_dict()
    full = network.state_dict()
    found = decompose(full, of_base, rank)
    name = "down_blocks.1.resnets.0.conv1"
    offset = (full[f"{name}.weight"] - of_base[f"{name}.weight"]).flatten(1)
    update = found.tensors[f"{name}.up"].flatten(1) @ found.tensors[f"{name}.down"].flatten(1)
    tail = torch.linalg.svdvals(offset)[rank:]
    assert torch.allclose((offset - update).norm(), tail.norm(), rtol=1e-4)
    restored = from_control_lora(to_control_lora(found.tensors, table_of(unet)), of_base, table_of(unet))
    weights = [name for name, tensor in full.items() if tensor.ndim > 1 and not name.startswith("controlnet_")]
    lost = sum(float((restored[n] - full[n]).double().square().sum()) for n in weights)
    whole = sum(float((of_base[n] - full[n]).double().square().sum()) for n in weights)
    assert found.error == pytest.approx((lost / whole) ** 0.5, rel=1e-4) and 0 < found.error < 1
    assert all(torch.equal(restored[n], full[n]) for n in full if n not in weights)


def test_decomposed_at_full_rank_nothing_is_lost(unet: Any) -> None:
    full, of_base = build_control(unet, seed=1).state_dict(), unet.state_dict()
    found = decompose(full, of_base, 10**6)
    assert found.error < 1e-6
    restored = from_control_lora(to_control_lora(found.tensors, table_of(unet)), of_base, table_of(unet))
    assert all(torch.allclose(restored[name], tensor, atol=1e-5) for name, tensor in full.items())


def test_a_newborn_decomposes_to_what_others_do_not_take_from_the_base(unet: Any) -> None:
    full, of_base = build_control(unet).state_dict(), unet.state_dict()
    found = decompose(full, of_base, 4)
    copied = {name for name in found.tensors if not name.startswith("controlnet_")}
    assert found.error == 0 and copied == {name for name in full.keys() & of_base.keys() if full[name].ndim == 1}
    assert all(torch.equal(found.tensors[name], of_base[name]) for name in copied)


def as_webui_binds(file: Tensors, unet: Any) -> ControlNetModel:
    """The rule of sd-webui-controlnet, said again: weights of linear layers and convolutions are the base's plus up times
    down, unless the file has them; every bias and every norm is the file's, and without it there is none."""
    theirs: Any = ControlNetModel.from_unet(unet).eval()
    bound = {name for name, module in theirs.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}
    of_base, state = unet.state_dict(), Tensors()
    for entry in table_of(unet).entries:
        (ours,), (module, _, part), (place, _, _) = entry.ours, entry.ours[0].rpartition("."), entry.theirs.rpartition(".")
        if part == "weight" and module in bound and entry.theirs not in file:
            state[ours] = of_base[ours].clone()
            if f"{place}.up" in file:
                up, down = file[f"{place}.up"].float(), file[f"{place}.down"].float()
                state[ours] += (up.flatten(1) @ down.flatten(1)).reshape(state[ours].shape)
        else:
            state[ours] = file[entry.theirs].float()
    theirs.load_state_dict(state)
    return theirs


@pytest.mark.parametrize("made", ["saved", "decomposed"])
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_webui_binds_it_to_the_same_residuals(family: str, made: str, tmp_path: Path) -> None:
    unet = randomized(build_unet(FAMILIES[family]), 8)  # biases and norms are anything but zero and one
    (z_t, t, text, condition), pooled = build_inputs(unet), build_pooled(unet)
    if made == "saved":
        network = build_control(unet, seed=1, variant="lora")
        network.save_pretrained(tmp_path, torch.float32)
        file = read_safetensors(tmp_path / "control-lora.safetensors")
    else:
        network = build_control(unet)  # a few biases have moved; the others are the base's, and are written all the same
        for part in (network.mid_block, network.controlnet_down_blocks, network.controlnet_mid_block):
            randomized(part, 2)
        file = to_control_lora(decompose(network.state_dict(), unet.state_dict(), 10**6).tensors, table_of(unet))
    if family != "sdxl":
        assert "input_blocks.11.0.in_layers.0.weight" in file  # by which SD 1.5 is told
    down, middle = as_webui_binds(file, unet)(z_t, t, text, condition, return_dict=False, **as_keywords(pooled))
    for one, two in zip((*down, middle), network(z_t, t, text, condition, added_conditions=pooled).values(), strict=True):
        assert two.abs().max() > 1e-3
        assert (one - two).abs().max() <= 1e-5 * two.abs().max().clamp_min(1)


def without(*ends: str) -> Callable[[Tensors], Tensors]:
    return lambda file: {name: tensor for name, tensor in file.items() if not name.endswith(ends)}


BROKEN: list[tuple[Callable[[Tensors], Tensors], str]] = [
    (without("lora_controlnet"), "this is no Control-LoRA: it has no tensor 'lora_controlnet'"),
    (
        without("time_embed.0.down"),
        r"'time_embedding.linear_1.down' \(in diffusers' names\) is missing \(1 missing, 0 unknown\)",
    ),
    (without("zero_convs.3.0.bias"), r"'controlnet_down_blocks.3.bias' .* is missing"),
    (
        lambda file: {**file, "input_blocks.99.0.up": torch.zeros(1)},
        r"'input_blocks.99.0.up' is unknown \(0 missing, 1 unknown\)",
    ),
    (
        lambda file: {**file, "time_embed.0.up": torch.zeros(3, 2)},
        r"linear_1 has up \(3, 2\) and down .* base's weight is \(64, 16\)",
    ),
    (lambda file: {**file, "time_embed.0.up": torch.tensor(1.0)}, r"linear_1 has up \(\) and down"),
    (lambda file: {**file, "time_embed.0.bias": torch.zeros(3)}, r"linear_1.bias has shape \(3,\), the base's is \(64,\)"),
    (lambda file: {**file, "input_hint_block.0.weight": torch.zeros(2)}, r"expected 4 axes"),
    (lambda file: {**file, "input_hint_block.2.weight": torch.zeros(9, 9, 3, 3)}, r"blocks.0.weight' has shape \(9, 9, 3, 3\)"),
    (
        lambda file: {**file, "input_blocks.1.1.norm.up": torch.zeros(16, 1), "input_blocks.1.1.norm.down": torch.zeros(1, 1)},
        "norm has up",
    ),
]


@pytest.mark.parametrize(("damage", "message"), BROKEN)
def test_a_broken_file_is_one_line(unet: Any, damage: Callable[[Tensors], Tensors], message: str) -> None:
    network = build_control(unet, seed=1, variant="lora")
    file = damage(to_control_lora(network.state_dict(), table_of(unet)))
    with pytest.raises(ValueError, match=message) as caught:
        ControlNet.from_file(ControlNetFile(None, file, "control-lora", Path("stranger")), unet)
    assert "\n" not in str(caught.value)


def test_a_file_for_another_family_is_refused(unet: Any) -> None:
    other = build_unet(FAMILIES["sdxl"])
    file = to_control_lora(build_control(other, variant="lora").state_dict(), table_of(other))
    with pytest.raises(ValueError, match=r"^this Control-LoRA does not fit the base: tensor .*use a base of the family"):
        ControlNet.from_file(ControlNetFile(None, file, "control-lora", Path("stranger")), unet)


def test_what_has_no_name_there_is_not_written(unet: Any) -> None:
    with pytest.raises(ValueError, match=r"has no name for 'down_blocks.0.extra.up'"):
        to_control_lora({"down_blocks.0.extra.up": torch.zeros(1)}, table_of(unet))


@pytest.mark.parametrize(
    ("rank", "change", "message"), [(0, {}, "rank is 0"), (4, {"cross_attention_dim": 24}, "the base has")]
)
def test_decompose_refuses(unet: Any, rank: int, change: dict[str, Any], message: str) -> None:
    other = build_unet({**FAMILIES["sd15"], **change}).state_dict()
    with pytest.raises(ValueError, match=message):
        decompose(build_control(unet, seed=1).state_dict(), other, rank)
