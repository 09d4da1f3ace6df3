"""A saved picture carries what makes it again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny import build_control, build_map
from zeroconv.control import ControlNet
from zeroconv.generation import Control, ControlPipeline, Output, parameters_text, reproduce, save_images
from zeroconv.generation.png_metadata import control_from_metadata, decode_png, encode_png, fingerprint, quote
from zeroconv.images import open_image, read_settings, write_png
from zeroconv.stable_diffusion import StableDiffusion

Make = Callable[..., tuple[Output, list[Control]]]


@pytest.fixture(scope="module")
def network(base: StableDiffusion, tmp_path_factory: pytest.TempPathFactory) -> ControlNet:
    made = build_control(base.unet, seed=3)
    made.config = replace(made.config, condition="canny")
    return ControlNet.from_pretrained(made.save_pretrained(tmp_path_factory.mktemp("control")))


@pytest.fixture
def make(base: StableDiffusion, network: ControlNet) -> Make:
    def call(num_images: int = 1) -> tuple[Output, list[Control]]:
        half = Image.new("L", (64, 64), 0)
        half.paste(255, (0, 0, 32, 64))
        controls = [Control(network, build_map(), scale=0.8, end=0.7), Control(network, build_map(seed=1), mask=half)]
        output = ControlPipeline(base)(
            "a red house, wide", controls, num_inference_steps=2, seed=7, num_images=num_images, negative_prompt="red"
        )
        return output, controls

    return call


def test_a_saved_picture_is_made_again_to_the_pixel(make: Make, base: StableDiffusion, tmp_path: Path) -> None:
    output, controls = make(num_images=2)
    saved = save_images(output, controls, tmp_path, base)
    second = saved.pictures[1]
    moved = second.rename(tmp_path / "elsewhere.png")  # the one file is enough
    for path in saved.maps:
        path.unlink()
    repeated, _, opened = reproduce(moved)
    assert repeated.images[0].tobytes() == open_image(moved).tobytes() == output.images[1].tobytes()
    assert repeated.settings[0] == output.settings[1]
    assert opened.name == base.name


def test_files_are_named_by_seed_and_maps_by_content(make: Make, base: StableDiffusion, tmp_path: Path) -> None:
    output, controls = make(num_images=2)
    saved = save_images(output, controls, tmp_path, base)
    assert [path.name for path in saved.pictures] == ["seed-7.png", "seed-8.png"]
    assert len(saved.maps) == 2
    assert open_image(saved.maps[0]).tobytes() == build_map().tobytes()
    assert save_images(output, controls, tmp_path, base) == saved  # the same pictures again are the same files


def test_a_picture_of_other_settings_is_never_replaced(make: Make, base: StableDiffusion, tmp_path: Path) -> None:
    output, controls = make()
    (tmp_path / "seed-7.png").write_bytes(b"somebody else's")
    saved = save_images(output, controls, tmp_path, base)
    assert saved.pictures == [tmp_path / "seed-7-2.png"]
    other = replace(output, settings=[{**output.settings[0], "prompt": "another"}])
    assert save_images(other, controls, tmp_path, base).pictures == [tmp_path / "seed-7-3.png"]
    assert (tmp_path / "seed-7.png").read_bytes() == b"somebody else's"


def test_the_parameters_text_reads_as_in_web_ui(make: Make, base: StableDiffusion, tmp_path: Path) -> None:
    output, controls = make()
    path = save_images(output, controls, tmp_path, base).pictures[0]
    with Image.open(path) as image:
        lines = str(image.info["parameters"]).split("\n")
    assert lines[:2] == ["a red house, wide", "Negative prompt: red"]
    assert lines[2].startswith("Steps: 2, Sampler: DPM++ 2M, CFG scale: 7.5, Seed: 7, Size: 64x64, Model: ")
    assert 'ControlNet 0: "Module: canny, Model: ' in lines[2]
    assert "Weight: 0.8, Guidance Start: 0.0, Guidance End: 0.7, Control Mode: Balanced" in lines[2]
    assert "Negative prompt" not in parameters_text({**output.settings[0], "negative_prompt": ""})


def test_a_value_that_holds_a_comma_is_quoted() -> None:
    assert quote("tiny") == "tiny"
    assert quote('a, "b"') == '"a, \\"b\\""'


def test_maps_survive_packing() -> None:
    image = build_map()
    assert np.array_equal(np.asarray(decode_png(encode_png(image))), np.asarray(image))
    for damaged in ("", "not base64!", encode_png(image)[:40]):
        with pytest.raises(ValueError, match="damaged"):
            decode_png(damaged)


def test_training_changes_the_fingerprint_and_a_warning_says_so(
    make: Make, base: StableDiffusion, network: ControlNet, tmp_path: Path
) -> None:
    output, controls = make()
    entry = read_settings(save_images(output, controls, tmp_path, base).pictures[0])["controls"][0]
    assert entry["fingerprint"] == fingerprint(network)
    assert control_from_metadata(entry, base).scale == 0.8
    with pytest.warns(UserWarning, match="has other weights now"):
        control_from_metadata({**entry, "fingerprint": fingerprint(build_control(base.unet, seed=4))}, base)


def test_pictures_without_settings_are_refused_in_one_line(tmp_path: Path, base: StableDiffusion) -> None:
    plain = write_png(build_map(), tmp_path / "plain.png")
    with pytest.raises(ValueError, match=r"plain\.png carries no zeroconv settings"):
        reproduce(plain, base)
    partial = write_png(build_map(), tmp_path / "partial.png", None, {"base": base.name})
    with pytest.raises(ValueError, match=r"partial\.png are incomplete"):
        reproduce(partial, base)
