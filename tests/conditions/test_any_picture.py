"""Any picture in, a map of its size out, or one error of one line; `experiments/conditions/fuzz.py` does it 10,000 times."""

import warnings
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments.conditions.cases import ENTRANCES, ROUTES, VALID, Case, case_of
from experiments.conditions.fuzz import try_case, wrong_message
from experiments.conditions.pictures import ENCODINGS, HANDED, draw_alpha, draw_picture
from PIL import Image

from tests.conditions.scenes import rendering
from zeroconv.conditions import Condition, extract, extract_all, fit_map, get, names, registry
from zeroconv.conditions.raster.tiling import detection_size
from zeroconv.images import open_image, to_8bit
from zeroconv.messages import Message

LARGEST = 20_000  # pixels
OF_NETWORKS = {"weights", "device", "fusion", "detector", "hands", "face"}
NOT_DRAWN = {*OF_NETWORKS, "mask", "resolution"}  # a hole has its picture's size; how large a picture is seen is drawn for all


@pytest.mark.parametrize("name", names())
def test_every_way_in_gives_a_map_or_one_error(name: str, tmp_path: Path) -> None:
    """The numbers that are this condition's: one for each kind of file and each mode of Pillow's."""
    seen, kinds = set[str](), set[str]()
    for number in range(names().index(name), len(names()) * len(ENTRANCES), len(names())):
        case, given = case_of(0, number, tmp_path, LARGEST)
        outcome = try_case(case, given)
        assert outcome.finding is None, f"{case}: {outcome.finding}"
        assert case.condition == name
        seen |= {case.entrance, case.route}
        kinds.add(outcome.kind)
    assert seen == {*ENTRANCES, *ROUTES, "handed"}
    assert kinds - {"InputError"} == {"map", "ValueError", "FileNotFoundError"}


@pytest.mark.parametrize("name", names())
def test_every_parameter_is_tried(name: str) -> None:
    known = list(signature(get(name).extract).parameters)[1:]
    assert set(VALID[name]) == set(known) - NOT_DRAWN


def judged(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> str:
    """What is found when canny is changed."""
    case = Case(0, "handed", "mode RGB", (128, 128), "canny", {}, changed.pop("expected", "map"))
    monkeypatch.setitem(registry.known_conditions(), "canny", replace(CANNY, **changed))
    return "; ".join({str(try_case(case, rendering(0), seed).finding) for seed in range(8)})


CANNY: Condition = get("canny")


def test_what_is_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge is judged: each of these is a finding."""

    def warn(_: Image.Image) -> list[Message]:
        warnings.warn("divided by zero", RuntimeWarning, stacklevel=1)
        return [Message("nan% of this map", "map.odd")]

    def fail(*_: object, **__: object) -> Image.Image:
        raise IndexError("list index out of range")

    assert judged(monkeypatch) == "None"
    assert "(3, 5) pixels, RGB, uint8; expected (128, 128)" in judged(monkeypatch, extract=lambda _: Image.new("RGB", (3, 5)))
    assert "L, uint8; expected" in judged(monkeypatch, extract=lambda _: Image.new("L", (128, 128)))
    assert "fidelity nan" in judged(monkeypatch, score=lambda *_: float("nan"))
    assert "RuntimeWarning of test_any_picture.py" in (found := judged(monkeypatch, check=warn)) and "nan% of" in found
    assert "IndexError: list index out of range" in judged(monkeypatch, extract=fail)
    assert "map; expected error" in judged(monkeypatch, expected="error")
    for wrong in (ValueError(), ValueError("a\nb"), ValueError("int() argument"), OSError(2, "no such file"), TypeError("x")):
        assert wrong_message(wrong)
    assert wrong_message(ValueError("low is 3; expected 4")) is None


EXACT = ("PNG RGB", "PNG RGB, 16 bits", "PNG, EXIF", "PNG, odd profile", "PNG, two frames")


@pytest.mark.parametrize("encoding", EXACT)
def test_a_file_without_loss_opens_as_the_picture_it_was(encoding: str, tmp_path: Path) -> None:
    for seed in range(20):
        generator = np.random.default_rng(seed)
        image = draw_picture(generator, (31, 17))
        (tmp_path / "picture").write_bytes(ENCODINGS[encoding](image, draw_alpha(generator, image.size), generator))
        assert open_image(tmp_path / "picture").tobytes() == image.tobytes()


@pytest.mark.parametrize("name", names())
def test_a_mode_that_loses_nothing_changes_no_map(name: str) -> None:
    grey = rendering(1).convert("L")
    sixteen = np.asarray(grey).astype(np.uint16) * 257
    wanted = extract(name, grey.convert("RGB"))
    same = [grey, grey.convert("P"), grey.convert("RGBX"), grey.convert("LA"), grey.convert("RGBA")]
    same += [Image.fromarray(sixteen), Image.fromarray(sixteen.astype(np.int32)), Image.fromarray(np.asarray(grey, np.float32))]
    same += [grey.convert("LA").convert("La"), grey.convert("RGBA").convert("RGBa"), grey.convert("HSV")]
    for image in same:
        assert extract(name, image).tobytes() == wanted.tobytes(), image.mode
    assert {image.mode for image in same} <= {*HANDED}


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
@pytest.mark.parametrize("name", names())
def test_a_picture_without_pixels_is_refused(name: str, size: tuple[int, int]) -> None:
    empty, known = Image.new("RGBA" if name == "inpaint" else "RGB", size), get(name)
    for ask in (
        lambda: extract(name, empty),
        lambda: extract_all(name, [rendering(0), empty], [{}, {}]),
        lambda: known.check(empty),
        lambda: known.fidelity(empty, empty),
        lambda: fit_map(empty, (4, 4), name),
        lambda: to_8bit(empty),
    ):
        with pytest.raises(ValueError, match=f"^the picture is {size[0]} x {size[1]} pixels; expected at least 1 x 1$"):
            ask()


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("canny", {"thresold": 3}, "canny: there is no parameter 'thresold'; expected one of low, high"),
        ("canny", {"low": "much"}, "canny: low is 'much'; expected a finite number"),
        ("canny", {"low": float("nan")}, "canny: low is nan; expected a finite number"),
        ("canny", {"low": True}, "canny: low is True; expected a finite number"),
        ("canny", {"high": 10**400}, "canny: high is 10000"),
        ("canny", {"image": 3}, "canny: there is no parameter 'image'"),
        ("tile", {"factor": None}, "tile: factor is None; expected a finite number"),
        ("lineart", {"coarse": "no"}, "lineart: coarse is 'no'; expected true or false"),
        ("scribble", {"method": ["xdog"]}, r"scribble: method is \['xdog'\]; expected text"),
        ("scribble", {"width": "x"}, "scribble: width is 'x'; expected a whole number or None"),
        ("depth", {"weights": 5}, "depth: weights is 5; expected text or a path or None"),
        ("inpaint", {"mask": 5}, "inpaint: mask is 5; expected a picture or some numbers or None"),
        ("canny", {"resolution": "512 px"}, "canny: resolution is '512 px'; expected a whole number or None"),
        ("canny", {"resolution": 10**9}, r"a detection resolution of 1e\+09 makes 1e\+12 megapixels of this picture; .* 32$"),
    ],
)
def test_parameters_of_another_kind_are_refused(name: str, parameters: dict[str, Any], message: str) -> None:
    for ask in (lambda: extract(name, rendering(0), **parameters), lambda: extract_all(name, [rendering(0)], [parameters])):
        with pytest.raises(ValueError, match=f"^{message}") as caught:
            ask()
        assert len(str(caught.value)) < 200


def test_numbers_may_be_those_of_numpy() -> None:
    for kind in (np.float32, np.float64, np.int16, np.uint8):
        assert extract("canny", rendering(0), low=kind(50), high=kind(200)) == extract("canny", rendering(0), low=50)
        numbers: dict[str, Any] = {"resolution": kind(64)}  # bytes overflow
        assert extract("canny", rendering(0), **numbers) == extract("canny", rendering(0), 64)


def test_yes_and_no_may_be_numbers() -> None:
    for value in (True, 1, np.True_):
        assert extract("lineart", rendering(0), coarse=value) == extract("lineart", rendering(0), coarse=True)
    assert detection_size((8000, 8000)) == (8000, 8000)  # it is the picture's own
