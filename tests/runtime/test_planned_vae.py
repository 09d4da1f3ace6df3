"""The autoencoder by plans and in tiles: the same pictures, or nearly, and what cannot be trusted is not used."""

import itertools
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from PIL import Image
from torch import Tensor
from torch.nn import functional

from zeroconv import ControlPipeline, StableDiffusion
from zeroconv.errors import InputError
from zeroconv.images import normalize, to_tensor
from zeroconv.messages import Message, listen
from zeroconv.runtime import planned_vae
from zeroconv.runtime.autoencoder import PictureDecoderPlan
from zeroconv.runtime.normalization import Normalization
from zeroconv.runtime.planned_vae import PlannedAutoencoder
from zeroconv.runtime.tiles import ramp, run_in_tiles, spread
from zeroconv.world import make

CLOSE = 1e-5


def new_vae(**changes: Any) -> Any:
    """An autoencoder whose every part has an effect."""
    torch.manual_seed(0)
    levels: dict[str, Any] = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    levels |= {"block_out_channels": (8, 8, 16, 16), "norm_num_groups": 4}
    vae = AutoencoderKL(**{**levels, **changes}).eval()
    for tensor in vae.parameters():
        tensor.data = torch.randn_like(tensor) * 0.1 + (0.5 if tensor.ndim == 1 else 0)
    return vae.requires_grad_(False)


def distance(found: Tensor, expected: Tensor) -> float:
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def natural(side: int, seed: int = 900_000_001) -> Tensor:
    """A picture, (1, 3, side, side) in [-1, 1]."""
    picture = Image.fromarray(make(seed).rgb).resize((side, side), Image.Resampling.BICUBIC)
    return normalize(to_tensor(picture))[None]


@pytest.mark.parametrize(
    "changes", [{}, {"mid_block_add_attention": False, "use_quant_conv": False, "use_post_quant_conv": False}]
)
@torch.no_grad()
def test_equals_the_ordinary_autoencoder(changes: dict[str, Any]) -> None:
    vae = new_vae(**changes)
    planned = PlannedAutoencoder(vae)
    for size in ((8, 8), (5, 9)):
        z, images = torch.randn(2, 4, *size), torch.rand(2, 3, 8 * size[0], 8 * size[1]) * 2 - 1
        assert distance(planned.decode(z), vae.decode(z).sample) < CLOSE
        assert distance(planned.encode(images), vae.encode(images).latent_dist.mean) < CLOSE
    assert all(not one.plan.unknown and one.is_proven for one in planned.plans.values())


@torch.no_grad()
def test_follows_changed_weights() -> None:
    vae, z = new_vae(), torch.randn(1, 4, 8, 8)
    planned = PlannedAutoencoder(vae)
    before = planned.decode(z)
    vae.decoder.up_blocks[1].resnets[0].conv1.weight.mul_(1.5)
    expected = vae.decode(z).sample
    assert distance(planned.decode(z), expected) < CLOSE < distance(before, expected)


@torch.no_grad()
def test_what_no_plan_computes_runs_as_it_is_and_is_told() -> None:
    vae, z, seen, told = new_vae(), torch.randn(1, 4, 8, 8), list[int](), list[Message]()
    vae.decoder.up_blocks[1].resnets[0].register_forward_hook(lambda *_: seen.append(1))
    vae.decoder.up_blocks[0].upsamplers[0].register_forward_hook(lambda *_: seen.append(2))
    expected = vae.decode(z).sample
    with listen(told.append):
        planned = PlannedAutoencoder(vae)
        assert distance(planned.decode(z), expected) < CLOSE
        assert distance(PlannedAutoencoder(vae, 64).decode(torch.cat([z, z], 3)), vae.decode(torch.cat([z, z], 3)).sample) < 0.5
    assert set(seen) == {1, 2} and [message.code for message in told] == ["runtime.unknown"], "once"
    vae.decoder.register_forward_hook(lambda *_: seen.append(3))
    with listen(told.append):
        assert distance(PlannedAutoencoder(vae).decode(z), expected) < CLOSE
        assert distance(PlannedAutoencoder(vae, 64).decode(torch.cat([z, z], 3)), vae.decode(torch.cat([z, z], 3)).sample) < 0.5
        vae.encoder.register_forward_hook(lambda *_: seen.append(4))
        images = torch.randn(1, 3, 64, 128)
        assert distance(PlannedAutoencoder(vae, 64).encode(images), vae.encode(images).latent_dist.mean) < 0.5
    assert {3, 4} <= set(seen)


@torch.no_grad()
def test_a_plan_that_differs_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(PictureDecoderPlan):
        def __call__(self, z: Tensor) -> Tensor:
            return 1.001 * super().__call__(z)

    monkeypatch.setattr(planned_vae, "PictureDecoderPlan", Wrong)
    vae, z, told = new_vae(), torch.randn(1, 4, 8, 8), list[Message]()
    planned = PlannedAutoencoder(vae)
    with listen(told.append):
        assert all(torch.equal(planned.decode(z), vae.decode(z).sample) for _ in range(2))
    assert [message.code for message in told] == ["runtime.no-plan"] and "autoencoder" in told[0].text


@torch.no_grad()
def test_a_large_autoencoder_runs_by_a_plan_where_the_picture_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    vae, told = new_vae(), list[Message]()
    monkeypatch.setattr(planned_vae, "SMALL", 1000)
    monkeypatch.setattr(planned_vae, "PAYS", 64 * 64)
    planned, z, images = PlannedAutoencoder(vae), torch.randn(2, 4, 8, 8), torch.rand(1, 3, 72, 72) * 2 - 1
    assert distance(planned.decode(z), vae.decode(z).sample) < CLOSE
    assert distance(planned.encode(images), vae.encode(images).latent_dist.mean) < CLOSE
    assert list(planned.plans) == [("decode", True), ("encode", True)]
    planned = PlannedAutoencoder(vae)
    for fewer in (z[..., :7, :].repeat(3, 1, 1, 1), z[..., :7]):  # more pictures are no reason
        assert torch.equal(planned.decode(fewer), vae.decode(fewer).sample)
    assert torch.equal(planned.encode(images[..., :56]), vae.encode(images[..., :56]).latent_dist.mean) and not planned.plans
    with_plan = planned.decode(z)
    with listen(told.append):
        monkeypatch.setattr(planned_vae, "ROOM", 1e9)
        assert torch.equal(planned.decode(z), with_plan), "a plan that is there takes no memory anew"
        planned = PlannedAutoencoder(vae)
        assert torch.equal(planned.decode(z), vae.decode(z).sample) and not planned.plans
    assert [one.code for one in told] == ["runtime.memory"]
    assert "too little for a plan of the autoencoder" in told[0].text


@torch.no_grad()
def test_an_autoencoder_that_is_not_to_be_planned_runs_as_it_is() -> None:
    vae, z = new_vae(), torch.randn(1, 4, 8, 8)
    planned = PlannedAutoencoder(vae, is_planned=False)
    assert torch.equal(planned.decode(z), vae.decode(z).sample) and not planned.plans


def normalized(x: Tensor) -> tuple[Tensor, Tensor]:
    """Channels-last features by a plan's normalization, and exactly."""
    torch.manual_seed(0)
    layer = torch.nn.GroupNorm(4, 16)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    found = Normalization(layer, silu=False)(x.contiguous(memory_format=torch.channels_last))
    return found, functional.group_norm(x.double(), 4, layer.weight.double(), layer.bias.double())


@pytest.mark.parametrize("size", [(256, 256), (257, 257), (96, 250), (3, 5000), (5000, 1)])
@torch.no_grad()
def test_large_features_are_normalized_exactly(size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    x = torch.randn(2, 16, *size) + torch.randn(2, 16, 1, 1)
    found, expected = normalized(x)
    assert distance(found, expected) < 2e-7 and found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(normalized(x[1:])[0], found[1:]), "each is the same bits alone and among others"


@torch.no_grad()
def test_a_wrong_normalization_of_large_features_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    vae, z, told = new_vae(), torch.randn(1, 4, 16, 16), list[Message]()
    right = Normalization.normalize

    def wrong(self: Normalization, pixels: Tensor, out: Tensor) -> None:
        right(self, pixels, out)
        out.mul_(1.001)

    monkeypatch.setattr(Normalization, "normalize", wrong)
    with listen(told.append):
        assert torch.equal(PlannedAutoencoder(vae).decode(z), vae.decode(z).sample)
    assert [message.code for message in told] == ["runtime.no-plan"]


@pytest.mark.parametrize(("mean", "allowed"), [(10.0, 1e-6), (100.0, 1e-5), (1000.0, 1e-4)])
@torch.no_grad()
def test_large_means_are_taken_off(mean: float, allowed: float) -> None:
    torch.manual_seed(1)
    found, expected = normalized(torch.randn(1, 16, 96, 128) + mean)
    assert distance(found, expected) < allowed


@torch.no_grad()
def test_features_that_are_all_alike_become_the_bias() -> None:
    for value in (0.0, 1000.3, 1.1e5):
        found, expected = normalized(torch.full((1, 16, 96, 130), value))
        assert distance(found, expected) < 1e-6


def test_large_features_have_gradients() -> None:
    x = torch.randn(1, 16, 80, 80, requires_grad=True)
    normalized(x)[0].square().sum().backward()
    assert x.grad is not None and bool(torch.isfinite(x.grad).all())


def test_tiles_cover_a_length_with_overlap() -> None:
    for length, side in ((8, 8), (7, 8), (9, 8), (20, 8), (64, 16), (65, 16), (128, 64)):
        starts = spread(length, side)
        total = torch.zeros(length)
        for start in starts:
            fade = ramp(start, side, length, 1)
            assert float(fade.min()) > 0
            total[start : start + side] += fade
        assert starts[0] == 0 and starts[-1] + min(side, length) == length and float(total.min()) > 0
        assert all(b - a <= side - side // 4 for a, b in itertools.pairwise(starts))


def test_what_sees_nothing_around_it_is_the_same_in_tiles() -> None:
    x = torch.randn(2, 3, 21, 34)
    assert torch.allclose(run_in_tiles(lambda x: x.repeat_interleave(8, 2).repeat_interleave(8, 3), [], x, 8, (1, 8)),
                          x.repeat_interleave(8, 2).repeat_interleave(8, 3), atol=1e-6)  # fmt: skip
    means = run_in_tiles(lambda x: functional.avg_pool2d(x, 2), [], x[..., :20, :], 4, (2, 1))
    assert torch.allclose(means, functional.avg_pool2d(x[..., :20, :], 2), atol=1e-6)


@torch.no_grad()
def test_tiles_are_closer_to_the_whole_than_those_that_are_normalized_by_themselves() -> None:
    vae = StableDiffusion.from_pretrained("tiny").vae
    images = natural(256)
    z = vae.encode(images).latent_dist.mean
    whole, tiled = vae.decode(z).sample, PlannedAutoencoder(vae, 128)
    found, latents = tiled.decode(z), tiled.encode(images)
    vae.enable_tiling()
    vae.tile_sample_min_size, vae.tile_latent_min_size = 128, 16
    alone, alone_latents = vae.decode(z).sample, vae.encode(images).latent_dist.mean
    vae.disable_tiling()
    assert distance(found, whole) < 0.03 and distance(found, whole) < 0.4 * distance(alone, whole)
    assert distance(latents, z) < 0.06 and distance(latents, z) < 0.4 * distance(alone_latents, z)
    assert torch.equal(tiled.decode(z), found), "what one picture was normalized by is let go"
    assert distance(tiled.decode(z[..., :16, :16]), vae.decode(z[..., :16, :16]).sample) < CLOSE, "a tile alone is the whole"


@torch.no_grad()
def test_where_memory_is_short_tiles_are_taken_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    vae, told = new_vae(), list[Message]()
    planned, z = PlannedAutoencoder(vae), torch.randn(1, 4, 48, 32)
    monkeypatch.setattr(planned_vae, "available_memory", lambda: planned.needed(48 * 32))
    with listen(told.append):
        whole = planned.decode(z)
        assert not told
        monkeypatch.setattr(planned_vae, "available_memory", lambda: planned.needed(48 * 32) - 1)
        found = planned.decode(z)
        assert planned.find_tile((48, 32), 1) == 256 // 8
        monkeypatch.setattr(planned_vae, "available_memory", lambda: 0)
        assert planned.find_tile((48, 32), 1) == 128 // 8
    assert {message.code for message in told} == {"runtime.tiles"} and "tiles of 256 pixels" in told[0].text
    assert CLOSE < distance(found, whole) < 0.5


def test_a_tile_that_cannot_be_is_refused() -> None:
    pipeline = ControlPipeline(StableDiffusion.from_pretrained("tiny"))
    for tile in (0, 60, 100, -64):
        with pytest.raises(InputError, match=f"vae_tile is {tile}; expected a multiple of 8 from 64 on"):
            pipeline.optimize(vae_tile=tile)
