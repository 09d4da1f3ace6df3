"""Maps of a control of several conditions: given by name, extracted, left out, and refused where one is missing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conditions.scenes import rendering
from tests.evaluation.test_fidelity import squares
from tests.tiny import build_control
from zeroconv.conditions import extract, extract_at_size, get
from zeroconv.conditions.raster.side_by_side import join_maps
from zeroconv.control import ControlNet
from zeroconv.data_uri import encode_png
from zeroconv.errors import InputError
from zeroconv.evaluation import evaluate, fidelity_sheet
from zeroconv.generation import Control, ControlPipeline, ControlRequest, reproduce, save_images
from zeroconv.generation.maps import make_controls
from zeroconv.images import write_png
from zeroconv.messages import Message, listen
from zeroconv.stable_diffusion import StableDiffusion

SIZE = (64, 64)
BOTH = "canny+soft-edge"
FEW: dict[str, Any] = {"num_inference_steps": 1, "guidance_scale": 1.0}


@pytest.fixture(scope="module")
def network(base: StableDiffusion) -> ControlNet:
    made = build_control(base.unet, seed=3, conditioning_channels=6)
    made.config = replace(made.config, condition=BOTH, extract={"canny.low": 40, "canny.high": 90})
    made.name = "both"
    return made


@pytest.fixture(scope="module")
def folder(network: ControlNet, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(network.save_pretrained(tmp_path_factory.mktemp("controls") / "both"))


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_png(rendering(0), tmp_path_factory.mktemp("photos") / "photo.png")


EDGES = extract("canny", rendering(0).resize(SIZE))
SOFT = extract("soft-edge", rendering(0).resize(SIZE))
BLACK = Image.new("RGB", SIZE)


def made(folder: str, base: StableDiffusion, **request: Any) -> tuple[Any, list[Message]]:
    told: list[Message] = []
    with listen(told.append):
        (control,) = make_controls([ControlRequest(network=folder, **request)], base, SIZE)
    return control.image, told


def test_a_picture_gives_all_its_maps_as_in_training(folder: str, base: StableDiffusion, photo: Path) -> None:
    edges = extract_at_size("canny", rendering(0), SIZE, low=40, high=90)
    soft = extract_at_size("soft-edge", rendering(0), SIZE)
    image, told = made(folder, base, image=str(photo))
    assert image == join_maps([edges, soft]) and [message.code for message in told] == ["map.extracted"]
    assert '{"high": 90, "low": 40}' in told[0].text
    image, _ = made(folder, base, image=str(photo), maps={"canny": encode_png(EDGES)})
    assert image == join_maps([EDGES, soft])
    image, _ = made(folder, base, image=str(photo), extract={"canny.low": 5}, maps={"hed": encode_png(SOFT)})
    assert image == join_maps([extract_at_size("canny", rendering(0), SIZE, low=5, high=90), SOFT])


def test_ready_maps_in_any_order_and_one_left_out(folder: str, base: StableDiffusion) -> None:
    image, told = made(folder, base, maps={"soft-edge": encode_png(SOFT), "canny": encode_png(EDGES)})
    assert image == join_maps([EDGES, SOFT]) and not told
    image, told = made(folder, base, maps={"soft-edge": encode_png(SOFT), "canny": None})
    assert image == join_maps([BLACK, SOFT]) and [message.code for message in told] == ["map.left-out"]
    joined, _ = made(folder, base, condition=encode_png(join_maps([EDGES, SOFT])))
    assert joined == join_maps([EDGES, SOFT])
    _, told = made(folder, base, maps={"canny": encode_png(Image.new("RGB", SIZE, "white")), "soft-edge": encode_png(SOFT)})
    assert [message.code for message in told] == ["map.inverted"]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"maps": {"canny": encode_png(EDGES)}}, "maps", "of soft-edge is missing: give it.*soft-edge=none$"),
    ({"maps": {"soft-edge": encode_png(SOFT)}}, "maps", "the map of canny is missing"),
    ({"maps": {"canny": encode_png(EDGES), "pose": None}}, "maps", "'pose' is given: expected maps of canny, soft-edge"),
    ({"maps": {"canny": None, "soft-edge": None}}, "maps", "all maps of .* are left out"),
    ({"condition": encode_png(EDGES)}, "condition", "without a name: name each: --condition canny=PATH --condition soft-"),
    ({"maps": {"canny": "nowhere.png", "soft-edge": None}}, "maps", "no such file: nowhere.png"),
    ({"maps": {"canny": encode_png(EDGES.resize((32, 32))), "soft-edge": None}}, "maps", "32x32 pixels, the pictures are"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "field", "message"), WRONG)
def test_wrong_maps_are_one_line_with_their_field(
    folder: str, base: StableDiffusion, request_: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught, listen(lambda _: None):
        make_controls([ControlRequest(network=folder, **request_)], base, SIZE)
    assert caught.value.field == f"controls.0.{field}" and "\n" not in str(caught.value)


def test_a_request_takes_maps_with_names_or_one_without() -> None:
    wrong: list[dict[str, Any]] = [
        {},
        {"condition": "a.png", "maps": {"canny": "b.png"}},
        {"maps": {"canny": "b.png"}, "extract": {"low": 3}},
    ]
    for given in wrong:
        with pytest.raises(InputError):
            ControlRequest(network="both", **given)


def test_in_python_the_maps_are_a_mapping(network: ControlNet, base: StableDiffusion) -> None:
    control = Control(network, {"canny": EDGES, "soft-edge": np.asarray(SOFT)})
    assert control.image == join_maps([EDGES, SOFT]) and control.tensor_of(0).shape == (6, 64, 64)
    assert replace(control, scale=0.5).image == control.image
    several = Control(network, [{"hed": SOFT, "canny": EDGES}, {"canny": EDGES, "soft-edge": None}])
    assert not several.tensor_of(1)[3:].any() and torch.equal(several.tensor_of(1)[:3], several.tensor_of(0)[:3])
    output = ControlPipeline(base)("a house", [control], **FEW)
    assert output.images[0].size == SIZE
    alone = ControlPipeline(base)("a house", [Control(network, {"canny": EDGES, "soft-edge": None})], **FEW)
    assert alone.images[0] != output.images[0]
    one = build_control(base.unet, seed=3)
    one.config = replace(one.config, condition="canny")
    assert Control(one, {"canny": EDGES}).image == EDGES


REFUSED: list[tuple[Callable[[ControlNet], Any], str]] = [
    (lambda network: Control(network, EDGES), "the map of soft-edge is missing"),
    (lambda network: Control(network, [EDGES, EDGES]), "the map of soft-edge is missing"),
    (lambda network: Control(network, join_maps([EDGES, SOFT])), "the map of soft-edge is missing"),
    (lambda network: Control(network, {"canny": EDGES}), "the map of soft-edge is missing"),
    (lambda network: Control(network, {"canny": EDGES, "soft-edge": SOFT.resize((32, 32))}), "differ in size"),
    (lambda network: Control(network, {"canny": None, "soft-edge": None}), "all maps of both are left out"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_maps_that_cannot_be_the_networks_are_refused(
    network: ControlNet, make: Callable[[ControlNet], Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(network)


def test_a_network_of_other_channels_is_refused(base: StableDiffusion) -> None:
    one = build_control(base.unet, seed=3)
    one.config = replace(one.config, condition=BOTH)
    with pytest.raises(InputError, match=r"reads 3 channels, and the maps of canny\+soft-edge have 6"):
        Control(one, {"canny": EDGES, "soft-edge": SOFT})


def test_its_picture_holds_its_maps_and_is_made_again(folder: str, base: StableDiffusion, tmp_path: Path) -> None:
    network = ControlNet.from_pretrained(folder)
    with listen(lambda _: None):
        controls = [Control(network, {"canny": EDGES, "soft-edge": None}, scale=0.7)]
        output = ControlPipeline(base)("a house", controls, **FEW)
        saved = save_images(output, controls, tmp_path, base)
        again, made_again, _ = reproduce(saved.pictures[0], base)
    assert again.images[0] == output.images[0] and made_again[0].image == join_maps([EDGES, BLACK])
    assert [path.name.startswith("map-canny+soft-edge-") for path in saved.maps] == [True]


def test_it_is_measured_by_each_of_its_conditions(network: ControlNet, base: StableDiffusion) -> None:
    report = evaluate(ControlPipeline(base), network, BOTH, squares(2), num_inference_steps=1, batch_size=2)
    assert report.measure == get(BOTH).metric and set(report.others) == {"canny: edge F1", "soft-edge: edge SSIM"}
    for row in report.rows:
        each = [row.measures[name] for name in report.others]
        assert row.measures[report.measure] == tuple(pytest.approx(sum(column) / 2) for column in zip(*each, strict=True))
    assert fidelity_sheet(report).width > 7 * 256
