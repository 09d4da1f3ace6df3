"""From the controls of a request to controls with their maps; wrong ones are one line with their field."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conditions.scenes import rendering, true_map
from tests.tiny import build_control, build_map
from zeroconv import conditions
from zeroconv.conditions import extract
from zeroconv.data_uri import encode_png
from zeroconv.errors import InputError
from zeroconv.generation import ControlRequest
from zeroconv.generation.maps import looks_like_map, make_controls
from zeroconv.images import write_png
from zeroconv.messages import Message, listen
from zeroconv.stable_diffusion import StableDiffusion

SIZE = (64, 64)
pytestmark = pytest.mark.filterwarnings("ignore::zeroconv.messages.MessageWarning")  # most maps here are no edges


@pytest.fixture(scope="module")
def canny(base: StableDiffusion, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ControlNet for edges that were extracted with thresholds of its own."""
    network = build_control(base.unet, seed=3)
    network.config = replace(network.config, condition="canny", extract={"low": 5, "high": 9})
    return str(network.save_pretrained(tmp_path_factory.mktemp("control")))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return write_png(build_map(), tmp_path / "picture.png")


def test_an_embedded_map_is_the_file(canny: str, base: StableDiffusion, picture: Path) -> None:
    sources = (str(picture), encode_png(build_map()))
    file, embedded = make_controls([ControlRequest(network=canny, condition=s) for s in sources], base, SIZE)
    assert file.image == embedded.image == build_map() and file.network is embedded.network


def test_a_map_is_extracted_as_in_training_and_somebody_is_told(canny: str, base: StableDiffusion, picture: Path) -> None:
    told: list[Message] = []
    with listen(told.append):
        (control,) = make_controls([ControlRequest(network=canny, image=str(picture))], base, SIZE)
    assert control.image == extract("canny", build_map(), low=5, high=9)
    assert [message.code for message in told] == ["map.extracted"] and "as in training" in told[0].text


def test_what_is_odd_about_a_map_is_told(canny: str, base: StableDiffusion) -> None:
    white = encode_png(Image.new("RGB", SIZE, "white"))
    told: list[Message] = []
    with listen(told.append):
        make_controls([ControlRequest(network=canny, condition=white)], base, SIZE)
    assert [message.code for message in told] == ["map.inverted"]
    assert told[0].text.startswith("the embedded picture: this map looks inverted")


def test_a_map_is_looked_over_as_it_was_before_it_is_fitted(canny: str, base: StableDiffusion) -> None:
    depth = Image.linear_gradient("L").convert("RGB")  # what fitting makes of it are pure white lines
    for condition, codes in ((depth, ["map.no-lines"]), (extract("canny", build_map(96, 96), low=5, high=9), [])):
        told: list[Message] = []
        with listen(told.append):
            make_controls([ControlRequest(network=canny, condition=encode_png(condition))], base, SIZE, "crop")
        assert [message.code for message in told] == codes


@pytest.mark.parametrize(("own", "offered"), [((72, 96), ", or --size 72x96 for pictures of its size"), ((70, 96), "")])
def test_a_size_is_offered_where_pictures_can_have_it(
    canny: str, base: StableDiffusion, own: tuple[int, int], offered: str
) -> None:
    said = f"pixels, the pictures are 64x64: add --resize to fit it{offered}$"
    with pytest.raises(InputError, match=said):
        make_controls([ControlRequest(network=canny, condition=encode_png(build_map(*own)))], base, SIZE)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"network": "caany"}, "controls.1.network", "no ControlNet called 'caany'"),
    ({"condition": "nowhere.png"}, "controls.1.condition", "no such file: nowhere.png"),
    ({"condition": "data:image/png;base64,AAAA"}, "controls.1.condition", "the embedded picture is not a readable PNG"),
    ({"condition": encode_png(build_map(32, 64))}, "controls.1.condition", "the map the embedded picture is 32x64 pixels"),
    ({"mask": encode_png(build_map(32, 64))}, "controls.1.mask", "the mask the embedded picture is 32x64 pixels"),
    ({"condition": "a" * 5000}, "controls.1.condition", "a" * 80 + "…: File name too long"),
    ({"network": "a" * 5000}, "controls.1.network", ""),
    ({"image": "a" * 5000, "condition": None}, "controls.1.image", "a" * 80 + "…: File name too long"),
    ({"image": "nowhere.png", "condition": None}, "controls.1.image", "no such file: nowhere.png"),
]


@pytest.mark.parametrize(("change", "field", "message"), WRONG)
def test_wrong_controls_are_one_line_with_their_field(
    canny: str, base: StableDiffusion, picture: Path, change: dict[str, Any], field: str, message: str
) -> None:
    good: dict[str, Any] = {"network": canny, "condition": str(picture)}
    with pytest.raises(InputError, match=r"^[^\n]+$") as caught:
        make_controls([ControlRequest(**good), ControlRequest(**{**good, **change})], base, SIZE)
    assert caught.value.field == field and str(caught.value).startswith(message)


@pytest.mark.parametrize("source", ["image", "condition"])
def test_a_condition_that_is_not_known_here_is_named(base: StableDiffusion, picture: Path, tmp_path: Path, source: str) -> None:
    network = build_control(base.unet, seed=3)
    network.config = replace(network.config, condition="moonlight")
    request = ControlRequest.model_validate({"network": str(network.save_pretrained(tmp_path / "net")), source: str(picture)})
    with pytest.raises(InputError, match=r"^unknown condition 'moonlight'; expected one of canny, ") as caught:
        make_controls([request], base, SIZE)
    assert caught.value.field == "controls.0.network"


def test_a_recorded_parameter_that_is_not_known_here_is_the_networks(
    base: StableDiffusion, picture: Path, tmp_path: Path
) -> None:
    network = build_control(base.unet, seed=3)
    network.config = replace(network.config, condition="canny", extract={"hight": 5})
    folder = str(network.save_pretrained(tmp_path / "net"))
    make_controls([ControlRequest(network=folder, condition=str(picture))], base, SIZE)  # a ready map needs none
    with pytest.raises(InputError, match="there is no parameter 'hight'") as caught:
        make_controls([ControlRequest(network=folder, image=str(picture))], base, SIZE)
    assert caught.value.field == "controls.0.network"


def test_extraction_can_be_told(canny: str, base: StableDiffusion, picture: Path) -> None:
    (control,) = make_controls([ControlRequest(network=canny, image=str(picture), extract={"low": 9.0})], base, SIZE)
    assert control.image == extract("canny", build_map(), low=9, high=9)
    with pytest.raises(InputError, match="no parameter 'lo'") as caught:
        make_controls([ControlRequest(network=canny, image=str(picture), extract={"lo": 90})], base, SIZE)
    assert caught.value.field == "controls.0.image"
    with pytest.raises(InputError, match="is told how to extract"):
        ControlRequest(network=canny, condition=str(picture), extract={"low": 90})


@pytest.mark.parametrize("name", ["canny", "lines", "scribble", "soft-edge", "segmentation", "pose"])
def test_a_map_given_as_a_picture_is_noticed_and_a_picture_never(name: str) -> None:
    known = conditions.get(name)
    assert not any(looks_like_map(known, rendering(index)) for index in range(6))
    for index in range(6):
        if name == "pose" and index % 2:
            continue  # nobody is in these
        found = looks_like_map(known, true_map(index, name))
        assert found or name == "soft-edge"  # whose grey levels could be a picture of the night


def test_a_black_mask_is_read_by_its_transparency_and_ones_are_white(canny: str, base: StableDiffusion, tmp_path: Path) -> None:
    shape = Image.new("RGBA", SIZE)
    shape.paste((0, 0, 0, 255), (8, 8, 40, 40))
    ones, wanted = Image.new("L", SIZE), Image.new("L", SIZE)
    ones.paste(1, (8, 8, 40, 40))
    wanted.paste(255, (8, 8, 40, 40))
    condition = encode_png(extract("canny", build_map()))
    for mask, code in ((shape, "mask.alpha"), (ones, "mask.scaled"), (wanted, None)):
        mask.save(tmp_path / "mask.png")
        told: list[Message] = []
        with listen(told.append):
            request = ControlRequest(network=canny, condition=condition, mask=str(tmp_path / "mask.png"))
            (control,) = make_controls([request], base, SIZE)
        assert control.mask is not None and control.mask.tobytes() == wanted.tobytes()
        assert [message.code for message in told if message.code.startswith("mask")] == ([code] if code else [])
