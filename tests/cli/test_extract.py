"""`zeroconv extract`: maps of any size, looked for at any resolution, and what it tells of every condition."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.cli.conftest import Run
from zeroconv.cli import controls
from zeroconv.conditions import extract, extract_at_size, fit_map, get, names
from zeroconv.conditions.networks.weights import WEIGHTS
from zeroconv.conditions.raster.resizing import MODES
from zeroconv.images import fit, open_image


def test_extract_writes_maps_of_the_same_size(run: Run, photo: Path) -> None:
    result = run("extract", "canny", photo, photo, "--out", "maps", "--set", "low=20", "--set", "high=40.5", "--json")
    assert result.code == 0, result.err
    assert [entry["map"] for entry in result.json["maps"]] == ["maps/photo-canny.png", "maps/photo-canny-2.png"]
    assert result.json["parameters"] == {"low": 20, "high": 40.5}
    assert (result.json["resolution"], result.json["size"], result.json["resize"]) == ("pixel-perfect", None, None)
    wanted = extract("canny", open_image(photo), low=20, high=40.5)
    assert open_image("maps/photo-canny.png").tobytes() == wanted.tobytes()
    assert run("extract", "canny", photo, "--out", "maps").out == "maps/photo-canny.png\n"


@pytest.mark.parametrize("mode", [None, "crop", "stretch", "fill"])
def test_maps_of_another_size_are_pixel_perfect(run: Run, photo: Path, mode: str | None) -> None:
    words = ["--resize", mode] if mode else []
    result = run("extract", "canny", photo, "--size", "64x96", *words, "--json")
    assert result.code == 0, result.err
    assert (result.json["size"], result.json["resize"]) == ([64, 96], mode or "crop")
    wanted = extract_at_size("canny", open_image(photo), (64, 96), mode or "crop")
    made = open_image(result.json["maps"][0]["map"])
    assert made.size == (64, 96) and made == wanted
    assert mode not in (None, "crop") or made == extract("canny", fit(open_image(photo), (64, 96)))


def test_a_map_is_looked_for_at_another_resolution(run: Run, photo: Path) -> None:
    image = open_image(photo)
    for words, wanted in (
        (["--resolution", 45], extract("canny", image, resolution=45)),
        (["--resolution", "pixel-perfect"], extract("canny", image)),
        (["--resolution", 45, "--size", 64, "--resize", "fill"], None),
    ):
        result = run("extract", "canny", photo, *words, "--json")
        assert result.code == 0, result.err
        assert result.json["resolution"] == words[1]
        made = open_image(result.json["maps"][0]["map"])
        assert made == (wanted or fit_map(extract("canny", image.resize((60, 45), 1)), (64, 64), "canny", "fill"))


def test_a_hole_is_the_one_of_the_picture_or_of_a_mask(run: Run, photo: Path) -> None:
    hole = Image.new("L", open_image(photo).size, 0)
    hole.paste(255, (30, 20, 60, 70))
    cut = open_image(photo)
    cut.putalpha(ImageOps.invert(hole))
    cut.save("cut.png")
    hole.save("hole.png")
    wanted = extract("inpaint", open_image(photo), mask=hole)
    for words in (["cut.png"], [photo, "--set", "mask=hole.png"]):
        result = run("extract", "inpaint", *words, "--json")
        assert result.code == 0, result.err
        with Image.open(result.json["maps"][0]["map"]) as made:
            assert made.tobytes() == wanted.tobytes()
    assert "no such file: nowhere.png" in run("extract", "inpaint", photo, "--set", "mask=nowhere.png").err


def test_networks_look_at_tiles_when_asked(run: Run) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 40, 3), np.uint8)).resize((200, 100)).save("long.png")
    result = run("extract", "depth", "long.png", "--tile", 64, "--json")
    assert result.code == 0, result.err
    assert open_image(result.json["maps"][0]["map"]) == extract("depth", open_image("long.png"), tile=64)
    refused = run("extract", "canny", "long.png", "--tile", 64)
    assert refused.code == 2 and "canny has no --tile; segmentation, depth, normal have" in " ".join(refused.err.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resolution", "half"], "got resolution 'half'; expected PIXELS of the shorter side, such as 512, or pixel-perfect"),
        (["--resolution", "0"], "got resolution '0'"),
        (["--set", "resolution=9"], "expected --resolution PIXELS"),
        (["--resize", "fill"], "expected --size too"),
        (["--size", "64", "--resize", "zoom"], "got the resize mode 'zoom'; expected one of crop, stretch, fill"),
        (["--size", "64x"], "got size '64x'"),
    ],
)
def test_wrong_words_write_nothing(run: Run, photo: Path, words: list[str], message: str) -> None:
    result = run("extract", "canny", photo, *words)
    assert result.code == 2 and message in " ".join(result.err.replace("│", " ").split())
    assert not Path("outputs").exists()


def test_where_no_picture_can_be_read_no_folder_stays(run: Run, photo: Path) -> None:
    Path("half.png").write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
    result = run("extract", "canny", "half.png", "--out", "maps/new")
    assert result.code == 1 and "half.png" in result.err and result.err.count("\n") == 1
    assert not Path("maps").exists()


def test_the_modes_are_those_of_the_library() -> None:
    assert controls.MODES == MODES


def test_the_list_has_every_condition_and_fits_a_terminal(run: Run) -> None:
    result = run("extract", "--list")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split()[0] for line in lines if line and line[0] not in " `"] == list(names())
    for name in names():
        known = get(name)
        assert known.summary.split(" (")[0] in result.out and known.contract.polarity.partition("; ")[0] in result.out


@pytest.mark.parametrize("name", [*names(), "hed"])
def test_one_condition_is_told_whole(run: Run, name: str) -> None:
    result = run("extract", name, "--list")
    assert result.code == 0, result.err
    assert all(len(line) <= 100 for line in result.out.splitlines())
    known, words = get(name), " ".join(result.out.split())
    contract = known.contract
    for text in (known.summary, contract.summary, contract.channels, contract.polarity, contract.palette, known.metric):
        assert " ".join(text.split()) in words
    for published in contract.suits:
        assert published in words
    for weights in WEIGHTS.values():
        assert (weights.repository in words and weights.licence in words) == (weights.condition == known.name)


def test_programs_read_the_same(run: Run) -> None:
    told = run("extract", "--list", "--json").json
    assert [row["condition"] for row in told["conditions"]] == list(names())
    assert len(told["weights"]) == len(WEIGHTS)
    (canny,) = run("extract", "canny", "--list", "--json").json["conditions"]
    assert canny == told["conditions"][0] and canny["parameters"] == {"low": 100, "high": 200, "resolution": None}
    assert canny["contract"]["values"] == "0 or 255" and "lllyasviel/control_v11p_sd15_canny" in canny["contract"]["suits"]
    assert run("extract", "cany", "--list").code == 1


def test_pictures_that_cannot_be_read_do_not_stop_the_others(run: Run, photo: Path) -> None:
    whole = photo.read_bytes()
    for name in ("one", "two", "three", "four"):
        Path(f"{name}.png").write_bytes(whole[: len(whole) // 2])
    result = run("extract", "canny", "one.png", photo, "--json")
    assert result.code == 1 and [Path(entry["map"]).name for entry in result.json["maps"]] == ["photo-canny.png"]
    assert [entry["image"] for entry in result.json["failed"]] == ["one.png"]
    assert "1 of 2 pictures could not be read: one.png" in result.err
    many = run("extract", "canny", "one.png", "two.png", "three.png", photo, "four.png", "--out", "more")
    assert many.code == 1 and many.out == "more/photo-canny.png\n" and "; and 1 more" in many.err
    assert run("extract", "canny", "one.png").err.startswith("error: one.png is damaged")
