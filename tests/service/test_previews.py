"""A preview shows what the prediction means, and takes a small share of the time."""

from typing import Any

import pytest
import torch

from tests.tiny import numbers
from zeroconv.generation.tiled_denoiser import TiledDenoiser, cut_tiles
from zeroconv.images import to_tensor
from zeroconv.service.previews import SHARE, LatentColours, PreviewRate, WatchedDenoiser, clean_latents, interruptible
from zeroconv.stable_diffusion import StableDiffusion

CONFIG: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("t", [0, 500, 900])
def test_a_right_prediction_means_the_clean_latents(kind: str, t: int) -> None:
    clean, noise = numbers(1, 4, 3, 3), numbers(1, 4, 3, 3, seed=1).double()
    kept = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)[t]
    z_t = kept.sqrt() * clean + (1 - kept).sqrt() * noise
    prediction = noise if kind == "epsilon" else kept.sqrt() * noise - (1 - kept).sqrt() * clean
    found = clean_latents(z_t, torch.tensor(t), prediction, {**CONFIG, "prediction_type": kind})
    torch.testing.assert_close(found, clean.double(), atol=1e-5, rtol=0)


def test_colours_of_latents_are_those_of_the_decoder() -> None:
    base = StableDiffusion.from_pretrained("tiny")
    colours = LatentColours(base)
    picture = torch.zeros(1, 3, 64, 64)
    picture[:, 0, :32], picture[:, 2, 32:] = 1, 1  # red above, blue below
    shown = to_tensor(colours.draw(base.encode_images(picture * 2 - 1)[0])).permute(1, 2, 0) * 255
    assert (shown[:3, :, 0] > shown[:3, :, 2] + 60).all() and (shown[-3:, :, 2] > shown[-3:, :, 0] + 60).all()


def test_previews_take_a_small_share_of_the_time() -> None:
    now = 0.0
    rate, made = PreviewRate(begun=0.0, clock=lambda: now), 0

    def preview() -> str:
        nonlocal now
        now += 0.013
        return ""

    for _ in range(2000):
        now += 0.05
        if rate.is_due():
            rate.make(preview)
            made += 1
    assert made > 100 and rate.spent <= 1.1 * SHARE * now


def test_a_watched_denoiser_predicts_as_before() -> None:
    watched = WatchedDenoiser(lambda z_t, t, step: z_t * step)
    z_t, t = numbers(1, 4, 2, 2), torch.tensor(7)
    assert torch.equal(watched(z_t, t, 3), z_t * 3)
    assert watched.last is not None and torch.equal(watched.last[2], z_t * 3)


def test_a_step_of_many_tiles_can_be_left_between_two_of_them() -> None:
    tiles = cut_tiles((8, 8), 4, 2)
    tiled, asked = TiledDenoiser(tiles, [lambda z_t, t, step: z_t * step] * len(tiles)), list[int]()

    def check() -> None:
        asked.append(len(asked))
        if len(asked) == len(tiles) + 2:
            raise KeyboardInterrupt

    z_t, t, watched = numbers(1, 4, 8, 8), torch.tensor(7), interruptible(tiled, check)
    assert torch.equal(watched(z_t, t, 3), tiled(z_t, t, 3)) and len(asked) == len(tiles) == 9
    with pytest.raises(KeyboardInterrupt):
        watched(z_t, t, 2)
