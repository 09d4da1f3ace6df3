"""A ControlNet on another base of its family: new = control + to - from, and how far the bases are apart."""

from typing import Any

import pytest
import torch

from tests.tiny import FAMILIES, build_control, build_inputs, build_unet, copies, randomized, unchanged
from zeroconv.control import ActiveControl, ControlledUNet, Shift, encoder_shift
from zeroconv.control.low_rank import lora_layers
from zeroconv.stable_diffusion import StableDiffusion


@pytest.fixture(scope="module")
def community() -> Any:
    """The session's U-Net, fine-tuned by somebody: every tensor has moved."""
    return randomized(build_unet(), 5)


def test_to_the_same_base_it_is_the_same_bit_by_bit(unet: Any) -> None:
    for variant in ("full", "lite", "lora"):
        network = build_control(unet, seed=1, variant=variant)
        moved = network.transfer(unet, build_unet())  # another U-Net with equal weights
        assert unchanged(moved, network.state_dict())
        assert not {p.data_ptr() for p in moved.parameters()} & {p.data_ptr() for p in network.parameters()}


def test_it_is_the_offset_recipe_tensor_by_tensor(unet: Any, community: Any) -> None:
    network = build_control(unet, seed=1)
    before, moved = copies(network.state_dict().items()), network.transfer(unet, community)
    assert unchanged(network, before)
    old, new = unet.state_dict(), community.state_dict()
    for name, tensor in moved.state_dict().items():
        if name.startswith("controlnet_"):
            assert torch.equal(tensor, before[name])
        else:
            assert torch.allclose(tensor, before[name] + new[name] - old[name], atol=1e-6)
            assert not torch.equal(tensor, before[name])
    there_and_back = moved.transfer(community, unet).state_dict()
    assert all(torch.allclose(there_and_back[name], before[name], atol=1e-5) for name in before)


def test_a_newborn_is_moved_to_a_newborn_of_the_other_base(unet: Any, community: Any) -> None:
    moved, born = build_control(unet).transfer(unet, community), build_control(community)
    assert all(torch.allclose(tensor, born.state_dict()[name], atol=1e-6) for name, tensor in moved.state_dict().items())


def test_only_what_has_moved_is_moved(unet: Any) -> None:
    other = build_unet()
    with torch.no_grad():
        other.mid_block.resnets[0].conv1.weight += 1  # type: ignore[union-attr,operator]
        other.up_blocks[0].resnets[0].conv1.weight += 1  # type: ignore[union-attr,operator]
    network = build_control(unet, seed=1)
    moved = network.transfer(unet, other).state_dict()
    changed = [name for name, tensor in network.state_dict().items() if not torch.equal(tensor, moved[name])]
    assert changed == ["mid_block.resnets.0.conv1.weight"]


@torch.no_grad()
def test_low_rank_is_bound_to_the_other_base_and_equals_the_full_transfer(unet: Any, community: Any) -> None:
    network = build_control(unet, seed=1, variant="lora")
    moved, inputs = network.transfer(unet, community), build_inputs(unet)
    assert unchanged(moved, network.state_dict())
    assert all(layer.layer is community.get_submodule(name) for name, layer in lora_layers(moved).items())
    moved.check_base(community)
    with pytest.raises(ValueError, match="borrows the weights of another base"):
        moved.check_base(unet)
    full = network.merge_lora().transfer(unet, community)
    for one, two in zip(moved(*inputs).values(), full(*inputs).values(), strict=True):
        assert (one - two).abs().max() <= 1e-4 * one.abs().max()


@torch.no_grad()
def test_of_bases_it_keeps_the_name_and_acts_on_the_second(base: StableDiffusion) -> None:
    network = build_control(base.unet, seed=1)
    moved = network.transfer(base, base)
    assert moved.config.base == base.name and network.config.base is None
    z_t, t, text, condition = build_inputs(base.unet)
    ControlledUNet(base.unet)(z_t, t, text, [ActiveControl(moved, moved.encode_condition(condition))])


@pytest.mark.parametrize("change", [{"cross_attention_dim": 24}, {"use_linear_projection": True}, {"layers_per_block": 1}])
def test_bases_of_another_structure_are_refused(unet: Any, change: dict[str, Any]) -> None:
    other = build_unet({**FAMILIES["sd15"], **change})
    for move in (lambda: build_control(unet).transfer(unet, other), lambda: encoder_shift(unet, other)):
        with pytest.raises(ValueError, match=r"^these bases are not of the same family: .* is .* in the first and") as caught:
            move()
        assert "\n" not in str(caught.value)


def test_it_must_have_been_made_for_the_first(unet: Any) -> None:
    other = build_unet({**FAMILIES["sd15"], "cross_attention_dim": 24})
    with pytest.raises(ValueError, match="made for a base with cross_attention_dim"):
        build_control(unet).transfer(other, other)


def test_shift_is_a_ratio_of_norms(unet: Any) -> None:
    assert encoder_shift(unet, unet) == encoder_shift(unet, build_unet())
    still = encoder_shift(unet, unet)
    assert still.total == 0 and not any(still.levels.values()) and still.identical == still.tensors
    longer = build_unet()
    with torch.no_grad():
        for parameter in longer.parameters():
            parameter *= 1.25  # the decoder too, which does not count
    moved = encoder_shift(unet, longer)
    assert moved.total == pytest.approx(0.25, rel=1e-5)
    assert list(moved.levels) == ["input", "time", "level 0", "level 1", "level 2", "level 3", "middle"]
    assert all(share == pytest.approx(0.25, rel=1e-5) for share in moved.levels.values())
    zeros = sum(not tensor.any() for tensor in build_control(unet).merge_lora().down_blocks.state_dict().values())
    assert moved.identical >= zeros and moved.identical < moved.tensors / 2


def test_shift_names_the_part_that_moved(unet: Any) -> None:
    other = build_unet()
    with torch.no_grad():
        other.down_blocks[1].resnets[0].conv1.weight.neg_()  # type: ignore[union-attr,operator]
    shift = encoder_shift(unet, other)
    assert [name for name, share in shift.levels.items() if share] == ["level 1"]
    assert shift.identical == shift.tensors - 1


@pytest.mark.parametrize(
    ("total", "word"),
    [(0.0, "same encoder"), (0.01, "plain reuse"), (0.1, "compare plain reuse and transfer"), (0.9, "train on this base")],
)
def test_a_sentence_for_every_distance(total: float, word: str) -> None:
    shift = Shift(total, {"input": total, "middle": total}, 3, 278)
    first, second, third = shift.lines()
    assert "3 of 278 tensors are identical" in first and f"{total:.1%}" in first and "middle" in second
    assert word in third
