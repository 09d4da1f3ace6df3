"""Pictures of changing sizes and controls, one after the other: memory stays bounded, and plans are let go."""

import gc
import random
import weakref
from pathlib import Path

import pytest
import torch

from zeroconv import ControlNet, ControlPipeline, StableDiffusion
from zeroconv.control import ActiveControl
from zeroconv.generation import Control
from zeroconv.images import to_image
from zeroconv.messages import listen
from zeroconv.runtime.autoencoder import PictureDecoderPlan
from zeroconv.runtime.layers import SIZES, PackedConvolution
from zeroconv.runtime.planned_unet import PlannedUNet
from zeroconv.runtime.planned_vae import PlannedAutoencoder
from zeroconv.runtime.plans import ControlNetPlan, UNetPlan

NAMES = ("tiny-canny", "tiny-depth", "tiny-scribble", "tiny-lineart", "tiny-soft-edge", "tiny-normal")
GROWTH = 60 << 20
"""Bytes by which memory may grow from the first pictures to the last: allocators keep pieces of what was freed."""


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * 4096


@torch.no_grad()
def test_plans_are_freed_with_their_networks() -> None:
    base = StableDiffusion.from_pretrained("tiny")
    planned, text = PlannedUNet(base.unet), torch.randn(2, 5, base.unet.config.cross_attention_dim)
    network = ControlNet.from_pretrained("tiny-canny")
    planned(torch.randn(2, 8, 8, 8), 5, text, [ActiveControl(network, torch.zeros(1, 48, 8, 8))])
    assert isinstance(planned.base_plan(), UNetPlan) and isinstance(planned.control_plan(network), ControlNetPlan)
    plans = [weakref.ref(plan) for plan in (planned.base_plan(), planned.control_plan(network))]
    packed = [weakref.ref(weight) for plan in plans for weight in (plan().encoder.conv_in.packed.values())]  # type: ignore[union-attr]
    assert packed and all(one() is not None for one in (*plans, *packed))
    del planned
    gc.collect()
    assert all(one() is None for one in (*plans, *packed))


@torch.no_grad()
def test_plans_of_the_autoencoder_are_freed_with_it_and_pack_a_few_sizes() -> None:
    vae = StableDiffusion.from_pretrained("tiny").vae
    planned = PlannedAutoencoder(vae)
    for height in (4, 5, 6, 7, 8, 9):
        planned.decode(torch.randn(1, 8, height, 4))
    (plan,) = [one.plan for one in planned.plans.values()]
    assert isinstance(plan, PictureDecoderPlan) and isinstance(plan.large[-1], PackedConvolution)
    assert len(plan.large[-1].packed) == SIZES
    kept = [weakref.ref(plan), *(weakref.ref(weight) for weight in plan.large[-1].packed.values())]
    del planned, plan
    gc.collect()
    assert all(one() is None for one in kept)


@pytest.mark.soak
def test_five_hundred_pictures_of_changing_sizes_and_controls() -> None:
    base, drawn = StableDiffusion.from_pretrained("tiny"), random.Random(0)
    networks = [ControlNet.from_pretrained(name) for name in NAMES]
    pipelines, sizes = (
        [ControlPipeline(base), ControlPipeline(base).optimize(vae_tile=64)],
        [
            (64, 64),
            (128, 128),
            (96, 160),
            (160, 96),
            (72, 104),
            (192, 64),
        ],
    )
    seen: list[int] = []
    for seed in range(500):
        size = drawn.choice(sizes)
        picture = to_image(torch.rand(3, size[1], size[0]))
        with listen(lambda _: None):  # noise is no map
            chosen = [Control(network, picture) for network in drawn.sample(networks, drawn.randint(0, 3))]
            pipelines[seed % 8 == 7](
                "a house", chosen, num_inference_steps=8, seed=seed, size=size, batch_size=drawn.choice((1, 2))
            )
        seen.append(resident())
    first, last = max(seen[:100]), max(seen[-100:])
    print(f"500 pictures: at most {first / 1e6:.0f} MB in the first hundred, {last / 1e6:.0f} MB in the last")
    assert last < first + GROWTH
