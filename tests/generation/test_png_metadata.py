"""A saved picture carries what makes it again."""

import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
from PIL import Image

from tests.tiny import SDXL, UNION, build_base, build_control, build_map, randomized
from zeroconv.control import ControlNet
from zeroconv.data_uri import PNG_URI
from zeroconv.errors import InputError
from zeroconv.generation import Control, ControlPipeline, Output, parameters_text, read_metadata, reproduce, save_images
from zeroconv.generation.parameters_text import quote
from zeroconv.generation.png_metadata import fingerprint
from zeroconv.images import open_image, open_map, read_settings, write_png
from zeroconv.stable_diffusion import StableDiffusion

pytestmark = pytest.mark.filterwarnings("ignore::zeroconv.messages.MessageWarning")  # its maps are no edges

OLD = Path(__file__).parent / "files" / "picture-0.1.0.png"

Make = Callable[..., tuple[Output, list[Control]]]


@pytest.fixture(scope="module")
def network(base: StableDiffusion, tmp_path_factory: pytest.TempPathFactory) -> ControlNet:
    made = build_control(base.unet, seed=3)
    made.config = replace(made.config, condition="canny")
    return ControlNet.from_pretrained(made.save_pretrained(tmp_path_factory.mktemp("control")))


@pytest.fixture
def make(base: StableDiffusion, network: ControlNet) -> Make:
    def call(num_images: int = 1, plain_prompt: bool = False) -> tuple[Output, list[Control]]:
        half = Image.new("L", (64, 64), 0)
        half.paste(255, (0, 0, 32, 64))
        controls = [Control(network, build_map(), scale=0.8, end=0.7), Control(network, build_map(seed=1), mask=half)]
        shared: dict[str, Any] = {"num_inference_steps": 2, "seed": 7, "negative_prompt": "red", "plain_prompt": plain_prompt}
        output = ControlPipeline(base)("a red house, wide", controls, num_images=num_images, **shared)
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
    assert repeated.requests[0] == output.requests[1]
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
    other = replace(output, requests=[output.requests[0].model_copy(update={"prompt": "another"})])
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
    assert "Negative prompt" not in parameters_text(output.requests[0].model_copy(update={"negative_prompt": ""}))


def test_a_value_that_holds_a_comma_is_quoted() -> None:
    assert quote("tiny") == "tiny"
    assert quote('a, "b"') == '"a, \\"b\\""'


def test_a_request_survives_the_picture(make: Make, base: StableDiffusion, tmp_path: Path) -> None:
    output, controls = make(num_images=2)
    paths = save_images(output, controls, tmp_path, base).pictures
    assert [read_metadata(path).request for path in paths] == output.requests
    first = read_metadata(paths[0])
    assert first.controls[0].condition == "canny" and first.request.controls[1].scale == 1.0
    assert open_map(first.request.controls[0].condition or "").tobytes() == build_map().tobytes()


def test_training_changes_the_fingerprint_and_a_warning_says_so(
    make: Make, base: StableDiffusion, network: ControlNet, tmp_path: Path
) -> None:
    output, controls = make()
    path = save_images(output, controls, tmp_path, base).pictures[0]
    settings = read_settings(path)
    assert settings["controls"][0]["fingerprint"] == fingerprint(network)
    settings["controls"][0]["fingerprint"] = fingerprint(build_control(base.unet, seed=4))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reproduce(write_png(output.images[0], path, None, settings), base)
    assert sum("has other weights now" in str(warning.message) for warning in caught) == 1


def test_the_fingerprint_is_of_what_was_handed_over(base: StableDiffusion, network: ControlNet, tmp_path: Path) -> None:
    """Not of the copy that a pipeline of another dtype runs."""
    half = ControlPipeline(StableDiffusion.from_pretrained(base.name)).to("cpu", torch.bfloat16)
    controls = [Control(network, build_map(), 0.1)]
    output = half("a red house", controls, num_inference_steps=1)
    record = read_metadata(save_images(output, controls, tmp_path, half.base).pictures[0])
    assert record.controls[0].fingerprint == fingerprint(network) and record.request.base.dtype == "bfloat16"


def test_a_picture_of_an_earlier_version_is_made_again(tmp_path: Path) -> None:
    """Written by `zeroconv generate` before there were requests: two controls with masks, weights, a window."""
    request = read_metadata(OLD).request
    assert (request.seed, request.sampler, request.weighting, request.guidance_scale) == (7, "euler-a", "decay", 4.0)
    assert [(c.network, c.scale, c.end) for c in request.controls] == [("tiny-canny", 0.8, 0.7), ("tiny-depth", 0.5, 1.0)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        output, controls, _ = reproduce(OLD)
    assert output.requests[0].size == request.size and all(control.mask for control in controls)
    retrained = any("has other weights now" in str(warning.message) for warning in caught)  # the embedded networks, since then
    assert retrained or output.images[0].tobytes() == open_image(OLD).tobytes()


def test_the_picture_of_an_earlier_version_is_replaced_by_itself(make: Make, base: StableDiffusion, tmp_path: Path) -> None:
    output, controls = make(plain_prompt=True)
    path = save_images(output, controls, tmp_path, base).pictures[0]
    write_png(output.images[0], path, None, downgrade(read_settings(path)))
    assert save_images(output, controls, tmp_path, base).pictures == [path]
    assert "request" in read_settings(path)
    other = downgrade(read_settings(path))
    other["controls"][0]["map_sha256"] = "0" * 64
    write_png(output.images[0], path, None, other)
    assert save_images(output, controls, tmp_path, base).pictures == [tmp_path / "seed-7-2.png"]


def downgrade(settings: dict[str, Any]) -> dict[str, Any]:
    """Metadata in the layout before there were requests, as `upgrade` reads it."""
    request = settings["request"]
    shared = ("prompt", "negative_prompt", "seed", "num_inference_steps", "guidance_scale", "sampler", "weighting", "size")
    controls = [
        {
            **record,
            **{name: asked[name] for name in ("scale", "start", "end", "layers")},
            "control": asked["network"],
            "map": asked["condition"].removeprefix(PNG_URI),
            "mask": asked["mask"] and asked["mask"].removeprefix(PNG_URI),
            "masked": asked["mask"] is not None,
        }
        for asked, record in zip(request["controls"], settings["controls"], strict=True)
    ]
    opened = {"base": request["base"]["name"], "base_options": {}, "dtype": "float32", "device": "cpu"}
    marks = {name: settings[name] for name in ("version", "base_fingerprint")}
    return {**{name: request[name] for name in shared}, **opened, **marks, "controls": controls}


@pytest.mark.parametrize("damaged", ["not base64!", "", "AAAA", "../secret.png"])
def test_damaged_maps_are_refused_in_one_line(damaged: str, make: Make, base: StableDiffusion, tmp_path: Path) -> None:
    output, controls = make()
    path = save_images(output, controls, tmp_path, base).pictures[0]
    settings = read_settings(path)
    prefix = "" if damaged.endswith(".png") else PNG_URI
    settings["request"]["controls"][0]["condition"] = prefix + damaged
    write_png(output.images[0], path, None, settings)
    with pytest.raises(ValueError, match=r"^[^\n]*(damaged|not a readable)[^\n]*$"):
        reproduce(path, base)


def test_pictures_without_settings_are_refused_in_one_line(tmp_path: Path, base: StableDiffusion) -> None:
    plain = write_png(build_map(), tmp_path / "plain.png")
    with pytest.raises(ValueError, match=r"plain\.png carries no zeroconv settings"):
        reproduce(plain, base)
    partial = write_png(build_map(), tmp_path / "partial.png", None, {"base": base.name})
    with pytest.raises(ValueError, match=r"partial\.png are incomplete"):
        reproduce(partial, base)
    strange = write_png(build_map(), tmp_path / "strange.png", None, {"request": {"prompt": 3}})
    with pytest.raises(ValueError, match=r"^the settings in [^\n]*strange\.png are incomplete or damaged: [^\n]*$"):
        reproduce(strange, base)


def test_a_picture_is_made_again_from_another_folder(
    base: StableDiffusion, network: ControlNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Base, ControlNet and picture named by relative paths, from the folder they were made in and from another."""
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    for folder in (work, elsewhere):
        folder.mkdir()
    shutil.copytree(base.name, work / "base")
    network.save_pretrained(work / "control")
    monkeypatch.chdir(work)
    opened, control = StableDiffusion.from_pretrained("base"), ControlNet.from_pretrained("control")
    controls = [Control(control, build_map())]
    output = ControlPipeline(opened)("a red house", controls, num_inference_steps=2, seed=7)
    path = save_images(output, controls, work / "made", opened).pictures[0]
    assert read_metadata(path).places == {"base": str(work / "base"), "control": str(work / "control")}
    monkeypatch.chdir(elsewhere)
    repeated, _, _ = reproduce(path)
    assert repeated.images[0].tobytes() == output.images[0].tobytes()
    moved = shutil.move(work, tmp_path / "moved")
    shutil.copy(Path(moved) / "made" / path.name, Path(moved) / path.name)
    repeated, _, _ = reproduce(Path(moved) / path.name)
    assert repeated.images[0].tobytes() == output.images[0].tobytes()


@pytest.mark.parametrize("absolute", [False, True])
def test_a_union_that_lies_elsewhere_by_now_is_found_beside_the_picture_or_asked_for_in_one_line(
    absolute: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by a path from here or from the root, with its condition; the error says where it was and where to put it."""
    (work := tmp_path / "work").mkdir()
    base = build_base(work / "base", config=SDXL)
    randomized(ControlNetUnionModel(**UNION), 3).save_pretrained(work / "promax")
    monkeypatch.chdir(work)
    name = str(work / "promax") if absolute else "promax"
    image = build_map()
    controls = [Control(ControlNet.from_pretrained(f"{name}#depth"), image, checked=image)]
    output = ControlPipeline(base)("a red house", controls, num_inference_steps=2, seed=7)
    path = save_images(output, controls, work / "made", base).pictures[0]
    assert read_metadata(path).request.controls[0].network == f"{name}#depth"
    moved = shutil.move(work / "promax", tmp_path / "promax")
    with pytest.raises(InputError) as caught:
        reproduce(path)
    said = f"the ControlNet of seed-7.png was {work / 'promax'}, and is not there any more: put it back, or a copy or link at "
    assert str(caught.value) == said + str(work / "made" / "promax")
    Path(work / "made" / "promax").symlink_to(moved)
    repeated, remade, _ = reproduce(path)
    assert repeated.images[0].tobytes() == output.images[0].tobytes() and remade[0].network.config.condition == "depth"
    shutil.move(work / "base", tmp_path / "base")
    assert reproduce(path, base)[0].images[0].tobytes() == output.images[0].tobytes()
    with pytest.raises(InputError, match=r"^the base of seed-7\.png was [^\n]*base, and is not there any more"):
        reproduce(path)
