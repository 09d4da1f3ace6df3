"""Large pictures in tiles: one tile changes nothing, each sees its part of the maps, and no border shows."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from tests.tiny import build_control, build_map, numbers
from zeroconv.control import ControlNet
from zeroconv.errors import InputError
from zeroconv.generation import Control, ControlPipeline
from zeroconv.generation.autoencoding import decode_images, encode_picture
from zeroconv.generation.tiled_denoiser import Tile, TiledDenoiser, cut_tiles
from zeroconv.generation.upscaling import enlarged_size
from zeroconv.images import to_image
from zeroconv.runtime import ways
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.world import HELD_OUT_SEED, make

pytestmark = pytest.mark.filterwarnings("ignore::zeroconv.messages.MessageWarning")  # its maps are no edges

STEPS: dict[str, Any] = {"num_inference_steps": 2, "seed": 7, "strength": 0.5}


@pytest.fixture
def network(base: StableDiffusion) -> ControlNet:
    """A ControlNet as after training."""
    return build_control(base.unet, seed=1)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 16), st.data())
def test_tiles_cover_the_latents_and_their_weights_sum_to_one(width: int, height: int, side: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, side - 1))
    tiles = cut_tiles((width, height), side, overlap)
    everything = TiledDenoiser(tiles, [lambda z, _t, _step: z * 2] * len(tiles))
    z = numbers(1, 2, height, width)
    torch.testing.assert_close(everything(z, torch.tensor(0), 0), z * 2)
    assert all(tile.weight.shape == (min(side, height), min(side, width)) for tile in tiles)


def test_the_cost_grows_with_the_area() -> None:
    counts = [len(cut_tiles((16 * n, 16 * n), 16, 8)) for n in (1, 2, 4, 8)]
    assert counts == [1, 9, 49, 225]  # (2 n - 1)², half shared: four times a grid's in the end


@pytest.mark.parametrize("tile", [64, 128])
def test_a_single_tile_is_plain_image_to_image_bit_for_bit(base: StableDiffusion, network: ControlNet, tile: int) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    controls, pipe = [Control(network, build_map(), mask=mask)], ControlPipeline(base)
    plain, tiled = (pipe("a red house", controls, init_image=build_map(seed=5), tile=side, **STEPS) for side in (None, tile))
    assert torch.equal(plain.latents, tiled.latents) and plain.images[0].tobytes() == tiled.images[0].tobytes()


def test_each_tile_sees_its_part_of_the_map(base: StableDiffusion, network: ControlNet) -> None:
    seen: list[Tensor] = []
    network.controlnet_cond_embedding.register_forward_hook(lambda _module, args, _output: seen.append(args[0][0]))
    size, tiles = (104, 72), cut_tiles((13, 9), 8, 4)
    condition = build_map(*size)
    made = ControlPipeline(base)("", [Control(network, condition)], size=size, tile=64, init_image=build_map(52, 36), **STEPS)
    assert made.images[0].size == size and len(tiles) == len(seen) == 6
    for tile, part in zip(tiles, seen, strict=True):
        assert to_image(part).tobytes() == condition.crop(tile.box(8)).tobytes()


def test_tiles_of_noise_alone_and_of_a_batch(base: StableDiffusion) -> None:
    shared: dict[str, Any] = {"size": (104, 64), "tile": 64, "tile_overlap": 16, "num_inference_steps": 2}
    pipe = ControlPipeline(base)
    together, again = (pipe("a red house", num_images=2, batch_size=size, **shared) for size in (2, 1))
    torch.testing.assert_close(together.latents, again.latents, atol=1e-4, rtol=1e-4)
    assert torch.equal(again.latents[1], pipe("a red house", seed=1, **shared).latents[0])


def border_steps(picture: Image.Image, tiles: list[Tile]) -> tuple[float, float]:
    """How much larger the step between two pixels is than its eight neighbours, where tiles end, and between other latents."""
    pixels = np.asarray(picture.convert("RGB"), np.float64)
    at: list[float] = []
    elsewhere: list[float] = []
    for axis, parts in ((1, [tile.columns for tile in tiles]), (0, [tile.rows for tile in tiles])):
        steps = np.abs(np.diff(pixels, axis=axis)).mean(axis=(1 - axis, 2))
        ends = {8 * end for part in parts for end in (part.start, part.stop)}
        for i in range(8, len(steps) - 4, 8):
            near = np.delete(steps[i - 5 : i + 4], 4)
            (at if i in ends else elsewhere).append(float(steps[i - 1] / near.mean()))
    return float(np.mean(at)), float(np.mean(elsewhere))


@pytest.mark.slow
def test_no_border_of_a_tile_shows() -> None:
    """On the tiny base, far from its picture; without an overlap the borders do show."""
    picture = Image.fromarray(make(HELD_OUT_SEED, kind="house").rgb)
    pipe = ControlPipeline(StableDiffusion.from_pretrained("tiny"))
    shared: dict[str, Any] = {"size": (256, 256), "num_inference_steps": 6, "guidance_scale": 4.0, "strength": 0.5}
    found: list[tuple[float, float]] = []
    for overlap in (0, 32):
        made = pipe("a red house on snow", init_image=picture, seed=7, tile=128, tile_overlap=overlap, **shared).images[0]
        found.append(border_steps(made, cut_tiles((32, 32), 16, overlap // 8)))
    (cut, between), (joined, elsewhere) = found
    assert cut > 1.25 * between and joined < elsewhere, found


def test_large_pictures_in_tiles_are_decoded_in_tiles(base: StableDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a few grey levels; a picture that is no larger than a tile is the same to the bit."""
    monkeypatch.setattr(ways, "USUAL_TILE", 128)
    picture = build_map(32, 32).resize((160, 136), Image.Resampling.BICUBIC)
    whole, tiled = (ways.Ways(base).autoencoder(1, way) for way in (False, True))
    assert whole.tile is None and tiled.tile == 128
    latents, parts = (encode_picture(base, picture, one) for one in (whole, tiled))
    assert parts.shape == latents.shape and 0 < (parts - latents).abs().mean() < 0.5 * latents.abs().mean()
    one, other = (np.asarray(decode_images(base, latents, way)[0], np.float64) for way in (whole, tiled))
    assert 0 < np.abs(one - other).mean() < 12
    small = numbers(1, 4, 8, 8)
    assert decode_images(base, small, tiled)[0].tobytes() == decode_images(base, small)[0].tobytes()


def test_an_enlarged_size_is_a_multiple_of_8_and_never_smaller_than_asked_for() -> None:
    assert enlarged_size((128, 128), 2) == (256, 256) and enlarged_size((75, 50), 2) == (152, 104)
    assert enlarged_size((64, 64), 1) == (64, 64) and enlarged_size((100, 60), 1.1) == (112, 72)
    for factor in (0.5, 9, float("nan")):
        with pytest.raises(InputError, match=r"^factor is [^\n]+; expected 1 to 8$") as caught:
            enlarged_size((64, 64), factor)
        assert caught.value.field == "factor"
