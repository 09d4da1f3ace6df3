"""Three channels for each of several conditions: new ones change nothing, the others go where they belong."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from torch import Tensor

from tests.tiny import build_control, build_inputs
from zeroconv.checkpoints.inspect.describe import describe
from zeroconv.control import ControlNet, Residuals
from zeroconv.control.condition_channels import read_conditions


def following(network: ControlNet, before: list[str], after: list[str]) -> ControlNet:
    found = copy.deepcopy(network)
    read_conditions(found, before, after)
    return found


def distance(one: Residuals, other: Residuals) -> float:
    return max(float((one[site] - other[site]).abs().max()) for site in one)


def maps_of(condition: Tensor, seed: int) -> Tensor:
    return torch.rand(condition.shape, generator=torch.Generator().manual_seed(seed))


FORMS: list[dict[str, Any]] = [{}, {"variant": "lite"}, {"condition_encoder": "paper"}, {"variant": "lora", "rank": 2}]


@torch.no_grad()
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("after", [["canny", "depth"], ["depth", "canny"], ["depth", "canny", "pose"]])
def test_new_conditions_change_nothing_whatever_their_maps(unet: Any, form: dict[str, Any], after: list[str]) -> None:
    network = build_control(unet, seed=3, **form)
    z, t, text, edges = build_inputs(unet)
    others = [edges if name == "canny" else maps_of(edges, seed) for seed, name in enumerate(after)]
    found = following(network, ["canny"], after)
    assert (found.config.condition, found.config.conditioning_channels) == ("+".join(after), 3 * len(after))
    before = network(z, t, text, edges)
    assert distance(found(z, t, text, torch.cat(others, 1)), before) < 1e-5
    assert network.config.conditioning_channels == 3
    back = following(found, after, ["canny"])
    assert distance(back(z, t, text, edges), before) < 1e-5


@torch.no_grad()
def test_conditions_that_stay_keep_their_weights_in_another_order(unet: Any) -> None:
    network = build_control(unet, seed=3, conditioning_channels=6)
    z, t, text, edges = build_inputs(unet)
    depth = maps_of(edges, 1)
    moved = following(network, ["canny", "depth"], ["depth", "pose", "canny"])
    both = network(z, t, text, torch.cat([edges, depth], 1))
    assert distance(moved(z, t, text, torch.cat([depth, maps_of(edges, 2), edges], 1)), both) < 1e-5
    alone = following(network, ["canny", "depth"], ["depth"])
    assert distance(alone(z, t, text, depth), network(z, t, text, torch.cat([torch.zeros_like(edges), depth], 1))) < 1e-5
    assert distance(alone(z, t, text, depth), both) > 1e-3


@torch.no_grad()
def test_channels_that_were_read_in_reverse_are_so_no_more(unet: Any) -> None:
    network = build_control(unet, seed=3)
    network.config = replace(network.config, channel_order="bgr")
    z, t, text, normals = build_inputs(unet)
    found = following(network, ["normal"], ["depth", "normal"])
    assert found.config.channel_order == "rgb"
    assert distance(found(z, t, text, torch.cat([maps_of(normals, 1), normals], 1)), network(z, t, text, normals)) < 1e-5


def test_where_none_stays_the_first_takes_over_and_new_weights_learn(unet: Any) -> None:
    network = build_control(unet, seed=3)
    found = copy.deepcopy(network)
    assert read_conditions(found, ["scribble"], ["canny", "depth"]) == ["canny"]
    name = "controlnet_cond_embedding.conv_in.weight"
    first = found.get_parameter(name)
    assert torch.equal(first[:, :3], network.get_parameter(name)) and not first[:, 3:].any()
    z, t, text, edges = build_inputs(unet)
    found(z, t, text, torch.cat([edges, maps_of(edges, 1)], 1)).middle.square().mean().backward()
    assert first.grad is not None and first.grad[:, 3:].any()


def test_a_network_that_reads_other_channels_is_refused(unet: Any) -> None:
    with pytest.raises(ValueError, match=r"reads 4 channels; expected 3, for its condition canny$"):
        read_conditions(build_control(unet, conditioning_channels=4), ["canny"], ["canny", "depth"])


@torch.no_grad()
def test_it_opens_in_diffusers_with_equal_residuals(unet: Any, tmp_path: Path) -> None:
    network = build_control(unet, seed=5, conditioning_channels=6)
    network.config = replace(network.config, condition="canny+depth")
    theirs = ControlNetModel.from_pretrained(network.save_pretrained(tmp_path / "both")).eval()
    assert theirs.config["conditioning_channels"] == 6
    z, t, text, edges = build_inputs(unet)
    maps = torch.cat([edges, maps_of(edges, 1)], 1)
    skips, middle = theirs(z, t, text, maps, return_dict=False)
    for opened in (network, ControlNet.from_pretrained(tmp_path / "both")):
        ours = opened.eval()(z, t, text, maps)
        assert opened.config.condition == "canny+depth"
        for mine, other in zip((*ours.skips, ours.middle), (*skips, middle), strict=True):
            assert (mine - other).abs().max() < 1e-5
    assert describe(tmp_path / "both").details["condition"] == "canny (channels 1 to 3), depth (channels 4 to 6)"
