"""Pictures from pictures: what stays to the bit, what a mask means, and clear words for what cannot be used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny import build_control, build_map
from zeroconv.errors import InputError
from zeroconv.generation import Control, ControlPipeline, GenerationRequest, generate, parameters_text, reproduce, save_images
from zeroconv.generation.starting import shrink_mask
from zeroconv.images import fit, normalize, open_image, to_images, to_tensor
from zeroconv.messages import Message, listen
from zeroconv.stable_diffusion import StableDiffusion

pytestmark = pytest.mark.filterwarnings("ignore::zeroconv.messages.MessageWarning")  # its maps are no edges

STEPS: dict[str, Any] = {"num_inference_steps": 4, "seed": 7, "sampler": "euler-a"}
PICTURE = build_map(seed=5)


@pytest.fixture(scope="module")
def pipe(base: StableDiffusion) -> ControlPipeline:
    return ControlPipeline(base)


def box(left: int, top: int, right: int, bottom: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """A mask that is white in a box."""
    mask = Image.new("L", size)
    mask.paste(255, (left, top, right, bottom))
    return mask


def test_a_strength_that_runs_no_step_gives_the_reconstruction_and_says_so(pipe: ControlPipeline) -> None:
    heard: list[Message] = []
    with listen(heard.append):
        made = pipe("a red house", init_image=PICTURE, strength=0.2, **STEPS).images[0]
    latents = pipe.base.encode_images(normalize(to_tensor(PICTURE))[None])
    assert made.tobytes() == to_images(pipe.base.decode(latents))[0].tobytes()
    assert [message.code for message in heard] == ["no-effect.strength"]


def test_how_many_steps_are_run_is_said(pipe: ControlPipeline) -> None:
    heard: list[Message] = []
    seen: list[tuple[int, int]] = []
    with listen(heard.append):
        pipe("", init_image=PICTURE, strength=0.6, on_step=lambda *done: seen.append(done), num_images=2, **STEPS)
        pipe("", strength=0.6, **STEPS)
    assert [str(message) for message in heard] == [
        "strength 0.6 of 4 steps: the last 2 are run", "strength 0.6 has no effect: there is no init_image",
    ]  # fmt: skip
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_picture_i_is_the_same_alone_and_the_picture_is_gone_from_noise_alone(pipe: ControlPipeline) -> None:
    several = pipe("a red house", init_image=PICTURE, strength=0.5, num_images=2, **STEPS)
    other: dict[str, Any] = {**STEPS, "seed": 8}
    alone = pipe("a red house", init_image=PICTURE, strength=0.5, **other)
    assert torch.equal(alone.latents[0], several.latents[1]) and alone.requests[0] == several.requests[1]
    everywhere = pipe("a red house", init_image=PICTURE, mask_image=box(0, 0, 64, 64), strength=1.0, **STEPS)
    assert everywhere.images[0].tobytes() == pipe("a red house", **STEPS).images[0].tobytes()


def test_outside_the_mask_the_pixels_are_the_originals(pipe: ControlPipeline) -> None:
    mask = box(13, 9, 41, 50)
    mask.paste(100, (0, 56, 64, 60))
    made = pipe("a red house", init_image=PICTURE, mask_image=mask, strength=1.0, **STEPS).images[0]
    before, after, painted = np.asarray(PICTURE), np.asarray(made), np.asarray(mask)
    assert np.array_equal(before[painted == 0], after[painted == 0])
    for part in (painted == 255, painted == 100):  # white is anew, grey mixes
        assert (before[part] != after[part]).any(axis=-1).mean() > 0.9


def test_a_latent_is_painted_anew_where_any_of_its_pixels_is_white() -> None:
    thin = box(15, 0, 17, 64)
    assert shrink_mask(thin, 8)[0, 0].sum(dim=0).tolist() == [0, 8, 8, 0, 0, 0, 0, 0]
    faint = Image.new("L", (64, 64))
    faint.paste(127, (0, 0, 64, 64))
    assert not shrink_mask(faint, 8).any()


def test_a_picture_of_another_size_is_cut_to_the_pictures(pipe: ControlPipeline) -> None:
    wide = build_map(96, 48, seed=2)
    assert pipe("", init_image=wide, strength=0.25, **STEPS).images[0].size == (96, 48)
    made = pipe("", init_image=wide, strength=0.25, size=(64, 64), **STEPS)
    same = pipe("", init_image=fit(wide, 64), strength=0.25, **STEPS)
    assert torch.equal(made.latents, same.latents)
    again = generate(made.requests[0], pipe.base)[0]
    assert torch.equal(made.latents, again.latents) and again.requests == made.requests


def test_a_saved_picture_is_made_again_from_its_file_alone(pipe: ControlPipeline, tmp_path: Path) -> None:
    network = build_control(pipe.base.unet, seed=3)
    network.save_pretrained(tmp_path / "control")
    network = type(network).from_pretrained(tmp_path / "control")
    controls = [Control(network, build_map())]
    settings: dict[str, Any] = {
        "init_image": build_map(32, 32),
        "size": (64, 64),
        "strength": 0.5,
        "mask_image": box(8, 8, 40, 40),
    }
    output = pipe("a red house", controls, tile=64, **settings, **STEPS)
    (path,) = save_images(output, controls, tmp_path, pipe.base).pictures
    repeated, _, _ = reproduce(path)
    assert repeated.images[0].tobytes() == output.images[0].tobytes() == open_image(path).tobytes()
    assert repeated.requests == output.requests
    assert save_images(repeated, controls, tmp_path, pipe.base).pictures == [path]
    assert ", Denoising strength: 0.5, Tile: 64, ControlNet 0: " in parameters_text(output.requests[0])


def test_a_request_without_a_picture_is_the_json_that_it_was() -> None:
    plain = GenerationRequest(prompt="a red house")
    fields = {"init_image", "strength", "mask_image", "tile", "tile_overlap"}
    assert not fields & plain.model_dump(mode="json").keys() and not fields & plain.without_pictures().keys()
    assert fields <= GenerationRequest.model_json_schema()["properties"].keys()
    asked = GenerationRequest(prompt="", init_image="a.png", mask_image="b.png", tile=128)
    assert GenerationRequest.model_validate_json(asked.model_dump_json()) == asked
    report = asked.without_pictures()
    assert report["masked"] is True and report["strength"] == 0.75 and not {"init_image", "mask_image"} & report.keys()


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"init_image": PICTURE, "strength": 0}, "strength", "strength is 0; expected greater than 0, usually 0.3 to 0.8"),
    ({"init_image": PICTURE, "strength": 1.5}, "strength", "strength is 1.5; expected less than or equal to 1, usually"),
    ({"init_image": PICTURE, "strength": float("nan")}, "strength", "strength is nan; expected "),
    ({"mask_image": box(0, 0, 8, 8)}, "mask_image", "mask_image says where init_image is painted anew, and there is no init"),
    ({"init_image": PICTURE, "mask_image": box(0, 0, 0, 0)}, "mask_image", "mask_image has no white pixel: nothing is pai"),
    (
        {"init_image": PICTURE, "mask_image": box(0, 0, 8, 8, size=(64, 32))},
        "mask_image",
        "mask_image is 64x32 pixels, the pictures are 64x64",
    ),
    ({"init_image": build_map().crop((0, 0, 60, 64))}, "init_image", "init_image is 60x64 pixels; expected multiples of 8: "),
    ({"init_image": "nowhere.png"}, "init_image", "nowhere.png"),
    ({"tile": 100}, "tile", "tile is 100; expected a multiple of 8"),
    ({"tile": 64, "tile_overlap": 64}, "tile_overlap", "tile_overlap is 64 pixels, and tiles have 64; expected less"),
    ({"tile_overlap": 8}, "tile_overlap", "tile_overlap is 8 pixels, and there are no tiles; expected less"),
]


@pytest.mark.parametrize(("change", "field", "message"), WRONG)
def test_what_cannot_be_used_is_one_line_with_its_field(
    pipe: ControlPipeline, change: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+$") as caught:
        pipe("a red house", **change, **STEPS)
    assert caught.value.field == field and message in str(caught.value)
