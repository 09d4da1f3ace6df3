"""Plans compute what the networks compute: families, variants, guidance, sizes, weights, masks; and they follow changes."""

from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from tests.tiny import SD15, SD21, SDXL
from zeroconv import ControlNet, ControlPipeline, StableDiffusion
from zeroconv.control import ActiveControl, ControlledUNet
from zeroconv.generation import Control
from zeroconv.images import to_image
from zeroconv.messages import Message, listen
from zeroconv.runtime import planned_unet
from zeroconv.runtime.planned_unet import KEPT, PlannedUNet
from zeroconv.runtime.plans import UNetPlan
from zeroconv.stable_diffusion import AddedConditions

FAMILIES: dict[str, dict[str, Any]] = {"sd15": SD15, "sd21": SD21, "sdxl": SDXL}
CHANNELS = (4, 8, 8, 16)
CLOSE = 1e-5


def new_unet(family: str, **changes: Any) -> Any:
    """A U-Net whose every part has an effect."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(**{**FAMILIES[family], **changes}).eval()
    for tensor in unet.parameters():
        tensor.data = torch.randn_like(tensor) * 0.1 + (0.5 if tensor.ndim == 1 else 0)
    return unet


def new_network(unet: Any, **settings: Any) -> ControlNet:
    return ControlNet.from_unet(
        unet, connection="gaussian", conditioning_embedding_out_channels=CHANNELS, **settings
    ).eval()  # fmt: skip


def inputs(family: str, rows: int, size: tuple[int, int], guided: bool) -> tuple[Tensor, Tensor, AddedConditions | None]:
    z = torch.randn(rows, 4, *size)
    z = torch.cat([z, z]) if guided else z
    added = AddedConditions(torch.randn(len(z), 16), 100 * torch.rand(len(z), 6)) if family == "sdxl" else None
    return z, torch.randn(len(z), 7, 16), added


def features_of(network: ControlNet, rows: int, size: tuple[int, int]) -> Tensor:
    return network.encode_condition(torch.rand(rows, 3, 8 * size[0], 8 * size[1]))


def distance(found: Tensor, expected: Tensor) -> float:
    return float((found.float() - expected.float()).norm() / expected.float().norm())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("variant", ["full", "lite", "lora"])
@torch.no_grad()
def test_equals_the_ordinary_networks(family: str, variant: Any) -> None:
    unet = new_unet(family)
    networks = [new_network(unet, variant=variant) for _ in range(2)]
    plain, planned = ControlledUNet(unet), PlannedUNet(unet)
    for guided, rows, size in ((True, 1, (9, 12)), (True, 3, (8, 8)), (False, 2, (12, 8))):
        z, text, added = inputs(family, rows, size, guided)
        one, other = (features_of(network, 1, size) for network in networks)
        controls = [
            ActiveControl(networks[0], one, weights=torch.rand(len(networks[0].controlnet_down_blocks) + 1)),
            ActiveControl(networks[1], other, mask=torch.rand(1, 1, 8 * size[0], 8 * size[1]), rows=slice(len(z) // 2, None)),
        ]
        for acting, t in (([], 321), (controls[:1], torch.tensor(321)), (controls, 321)):
            assert distance(planned(z, t, text, acting, added), plain(z, t, text, acting, added)) < CLOSE
    assert distance(plain(z, 321, text, controls, added), plain(z, 321, text, [], added)) > 0.01, "the controls act"


@torch.no_grad()
def test_guidance_halves_that_differ_in_latents_or_map_are_not_taken_for_one() -> None:
    unet = new_unet("sd15")
    network, plain, planned = new_network(unet), ControlledUNet(unet), PlannedUNet(unet)
    z, text, _ = inputs("sd15", 4, (8, 8), guided=False)
    same = torch.cat([z[:2], z[:2]])
    maps = features_of(network, 4, (8, 8))
    for latents, features in ((z, maps), (same, maps), (same, torch.cat([maps[:2], maps[:2]])), (same, maps[:1])):
        controls = [ActiveControl(network, features)]
        assert distance(planned(latents, 10, text, controls), plain(latents, 10, text, controls)) < CLOSE
    steps = torch.tensor([10, 500, 10, 900])
    assert distance(planned(same, steps, text), plain(same, steps, text)) < CLOSE


@torch.no_grad()
def test_an_unlocked_decoder_decodes() -> None:
    unet = new_unet("sd15")
    network, plain, planned = new_network(unet).unlock_decoder(unet), ControlledUNet(unet), PlannedUNet(unet)
    assert network.decoder is not None
    for tensor in network.decoder.parameters():
        tensor.mul_(1.1)
    z, text, _ = inputs("sd15", 1, (8, 8), guided=True)
    expected = plain(z, 5, text, [], None, network.decoder)
    assert distance(planned(z, 5, text, [], None, network.decoder), expected) < CLOSE
    assert distance(planned(z, 5, text), expected) > 0.01
    next(network.decoder.parameters()).mul_(2)
    assert distance(planned(z, 5, text, [], None, network.decoder), plain(z, 5, text, [], None, network.decoder)) < CLOSE


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_in_bfloat16_it_errs_no_more_than_the_ordinary_networks(family: str) -> None:
    unet = new_unet(family)
    z, text, added = inputs(family, 2, (16, 16), guided=True)
    exact = ControlledUNet(unet)(z, 700, text, [], added)
    unet = unet.bfloat16()
    z, text, added = z.bfloat16(), text.bfloat16(), added and added.map(lambda tensor: tensor.bfloat16())
    ordinary = distance(ControlledUNet(unet)(z, 700, text, [], added), exact)
    assert distance(PlannedUNet(unet)(z, 700, text, [], added), exact) < 1.25 * ordinary


@torch.no_grad()
def test_follows_changed_weights_text_and_networks() -> None:
    unet = new_unet("sd15")
    network, plain, planned = new_network(unet), ControlledUNet(unet), PlannedUNet(unet)
    z, text, _ = inputs("sd15", 1, (8, 8), guided=True)
    controls = [ActiveControl(network, features_of(network, 1, (8, 8)))]
    before = planned(z, 5, text, controls)
    unet.down_blocks[0].resnets[0].conv1.weight.mul_(1.5)
    next(network.controlnet_mid_block.parameters()).add_(0.1)
    unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_q.weight.data = torch.randn(32, 32)
    text[0].add_(1.0)  # in place: keys and values that were kept are no longer those of the text
    expected = plain(z, 5, text, controls)
    assert distance(planned(z, 5, text, controls), expected) < CLOSE
    assert distance(before, expected) > 0.01
    for _ in range(KEPT + 2):
        other = new_network(unet)
        acting = [ActiveControl(other, controls[0].features)]
        assert distance(planned(z, 5, text, acting), plain(z, 5, text, acting)) < CLOSE
    assert len(planned.controls) == KEPT


@torch.no_grad()
def test_what_no_plan_computes_runs_as_it_is_and_is_told() -> None:
    unet = new_unet("sd15")
    seen: list[int] = []
    unet.up_blocks[1].resnets[0].register_forward_hook(lambda *_: seen.append(1))
    unet.down_blocks[0].attentions[0].transformer_blocks[0].attn2.processor = Doubled()
    unet.down_blocks[1].downsamplers[0].conv.register_forward_hook(lambda *_: seen.append(2))
    z, text, _ = inputs("sd15", 2, (8, 8), guided=True)
    expected, told = ControlledUNet(unet)(z, 5, text), list[Message]()
    seen.clear()
    planned = PlannedUNet(unet)
    with listen(told.append):
        assert distance(planned(z, 5, text), expected) < CLOSE
        planned(z, 6, text)
    assert sorted(set(seen)) == [1, 2], "hooks see what passes"
    assert [message.code for message in told] == ["runtime.unknown"]
    assert all(name in told[0].text for name in ("Doubled", "ResnetBlock2D"))


@torch.no_grad()
def test_what_is_hung_on_after_planning_is_seen_at_the_next_step() -> None:
    unet = new_unet("sd15")
    network = new_network(unet)
    z, text, _ = inputs("sd15", 1, (8, 8), guided=False)
    acting = [ActiveControl(network, features_of(network, 1, (8, 8)))]
    planned, plain, seen = PlannedUNet(unet), ControlledUNet(unet), list[str]()
    before = planned(z, 5, text, acting)
    network.register_forward_hook(lambda *_: seen.append("control"))
    unet.up_blocks[1].resnets[0].register_forward_hook(lambda *_: seen.append("block"))
    unet.down_blocks[0].attentions[0].transformer_blocks[0].attn2.processor = Doubled()
    planned(z, 5, text, acting)  # made anew, and proven by the ordinary networks, which call hooks as well
    seen.clear()
    found = planned(z, 5, text, acting)
    assert sorted(seen) == ["block", "control"]
    expected = plain(z, 5, text, acting)
    assert distance(found, expected) < CLOSE < distance(before, expected)


class Doubled:
    """Another way of attention."""

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Any = None, *_: Any, **__: Any) -> Tensor:
        return 2 * attn.to_out[0](attn.to_q(hidden_states))


def test_a_plan_that_differs_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    unet = new_unet("sd15")
    z, text, _ = inputs("sd15", 1, (8, 8), guided=False)

    class Wrong(UNetPlan):
        def decode(self, encoded: Any, text: Tensor) -> Tensor:
            return 1.001 * super().decode(encoded, text)

    monkeypatch.setattr(planned_unet, "UNetPlan", Wrong)
    told = list[Message]()
    with torch.no_grad(), listen(told.append):
        found, expected = PlannedUNet(unet)(z, 5, text), ControlledUNet(unet)(z, 5, text)
    assert [message.code for message in told] == ["runtime.no-plan"]
    assert "1.0e-03" in told[0].text
    assert distance(found, expected) < 1e-6


def test_pictures_of_the_tiny_base_are_the_same_up_to_rounding() -> None:
    base, network = StableDiffusion.from_pretrained("tiny"), ControlNet.from_pretrained("tiny-canny")
    control = Control(network, to_image(torch.zeros(3, 128, 128).index_fill(2, torch.tensor([40, 80]), 1.0)))

    def draw(pipeline: ControlPipeline) -> Tensor:
        return pipeline("a red house", [control], num_inference_steps=4, seed=3, num_images=2).latents

    expected = draw(ControlPipeline(base))
    assert distance(draw(ControlPipeline(base).optimize()), expected) < 1e-4
    assert distance(draw(ControlPipeline(base)), expected) == 0, "optimize leaves the base as it was"
