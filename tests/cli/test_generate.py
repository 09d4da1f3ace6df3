"""`zeroconv generate`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Run
from tests.tiny import build_control
from zeroconv.conditions import extract, extract_at_size, fit_map
from zeroconv.conditions.raster.side_by_side import join_maps
from zeroconv.generation import read_metadata
from zeroconv.images import fit, open_image, write_png
from zeroconv.stable_diffusion import StableDiffusion

ARGUMENTS = ["--prompt", "a red house", "--steps", "1"]


def test_pictures_maps_and_settings(run: Run, base_folder: Path, control_folder: Path, photo: Path) -> None:
    result = run(
        "generate", "--base", base_folder, *ARGUMENTS, "--control", f"{control_folder}:0.5:0-0.8", "--image", photo,
        "--seed", 4, "--num-images", 2, "--out", "made", "--json",
    )  # fmt: skip
    assert result.code == 0, result.err
    report = result.json
    assert report["pictures"] == ["made/seed-4.png", "made/seed-5.png"]
    assert [one["seed"] for one in report["settings"]] == [4, 5]
    metadata = read_metadata(report["pictures"][1])
    control = metadata.request.controls[0]
    assert (control.scale, control.start, control.end, metadata.controls[0].condition) == (0.5, 0.0, 0.8, "canny")
    wanted = extract("canny", fit(open_image(photo), 64))
    assert open_image(report["maps"][0]).tobytes() == wanted.tobytes()
    assert sorted(path.name for path in Path("made").iterdir()) == sorted(
        Path(path).name for path in (*report["pictures"], *report["maps"])
    )


def test_a_picture_is_made_again(run: Run, base_folder: Path, control_folder: Path, edge_map: Path) -> None:
    words = ["--base", base_folder, *ARGUMENTS, "--control", control_folder, "--condition", edge_map, "--seed", 9]
    assert run("generate", *words, "--out", "first").code == 0
    result = run("generate", "--again", "first/seed-9.png", "--out", "second", "--json", "--steps", 3, "-p", "a car")
    assert result.code == 0, result.err
    assert result.json["same_pixels"] is True
    ignored = [one["text"].split()[0] for one in result.json["messages"] if one["code"] == "no-effect.again"]
    assert ignored == ["--prompt", "--steps"]
    assert open_image("second/seed-9.png").tobytes() == open_image("first/seed-9.png").tobytes()


def test_images_and_conditions_pair_with_the_controls_in_order(
    run: Run, base_folder: Path, control_folder: Path, photo: Path, edge_map: Path
) -> None:
    two = ["--control", f"{control_folder}:0.5", "--control", f"{control_folder}:0.25"]
    sources = ["--condition", edge_map, f"--image={photo}"]
    result = run("generate", "--base", base_folder, *ARGUMENTS, *two, *sources, "--out", "made", "--json")
    assert result.code == 0, result.err
    metadata = read_metadata(result.json["pictures"][0])
    assert [control.scale for control in metadata.request.controls] == [0.5, 0.25]
    first, second = metadata.controls
    assert open_image(result.json["maps"][0]).tobytes() == open_image(edge_map).tobytes()
    assert first.map_sha256 != second.map_sha256


def test_a_map_of_another_size_is_fitted_when_asked(run: Run, base_folder: Path, control_folder: Path, photo: Path) -> None:
    words = ["--base", base_folder, *ARGUMENTS, "--control", control_folder, "--condition", photo]
    result = run("generate", *words, "--resize", "--mask", photo, "--out", "made", "--json")
    assert result.code == 0, result.err
    assert open_image(result.json["maps"][0]).size == (64, 64)


@pytest.mark.parametrize("words", [["--resize", "fill"], ["--resize=stretch"], ["--resize", "crop"]])
def test_maps_are_fitted_in_the_mode_that_is_asked_for(
    run: Run, base_folder: Path, control_folder: Path, photo: Path, words: list[str]
) -> None:
    mode = words[-1].rpartition("=")[2]
    lines = extract("canny", open_image(photo))
    write_png(lines, Path("lines.png"))
    two = ["--control", control_folder, "--condition", "lines.png", "--control", control_folder, "--image", photo]
    result = run("generate", "--base", base_folder, *ARGUMENTS, *words, *two, "--out", "made", "--json")
    assert result.code == 0, result.err
    ready, extracted = map(open_image, result.json["maps"])
    assert ready == fit_map(lines, (64, 64), "canny", mode)
    assert extracted == extract_at_size("canny", open_image(photo), (64, 64), mode)


def test_a_mode_that_there_is_not_is_refused(run: Run, base_folder: Path) -> None:
    for word in ("--resize=zoom", "--resize"):
        result = run("generate", "--base", base_folder, *ARGUMENTS, word, "zoom")
        assert result.code == 2 and not Path("outputs").exists()


def test_a_map_is_extracted_as_the_control_was_trained(run: Run, base_folder: Path, base: StableDiffusion, photo: Path) -> None:
    network = build_control(base.unet, seed=3)
    network.config = replace(network.config, condition="canny", base=base.name, extract={"low": 5, "high": 9})
    network.save_pretrained(Path("trained"))
    result = run("generate", "--base", base_folder, *ARGUMENTS, "--control", "trained", "--image", photo, "--json")
    assert result.code == 0, result.err
    assert 'is extracted as in training, with {"high": 9, "low": 5}' in result.err
    assert open_image(result.json["maps"][0]) == extract("canny", fit(open_image(photo), 64), low=5, high=9)


def test_a_mask_of_black_is_no_control(run: Run, base_folder: Path, control_folder: Path, edge_map: Path) -> None:
    Image.new("L", (64, 64)).save("black.png")
    words = ["--base", base_folder, *ARGUMENTS]
    steered = ["--control", control_folder, "--condition", edge_map]
    assert run("generate", *words, "--out", "plain").code == 0
    assert run("generate", *words, *steered, "--mask", "black.png", "--out", "masked").code == 0
    assert run("generate", *words, *steered, "--out", "steered").code == 0
    plain, masked, controlled = (np.asarray(open_image(f"{name}/seed-0.png")) for name in ("plain", "masked", "steered"))
    assert np.array_equal(plain, masked)
    assert not np.array_equal(plain, controlled)


def test_what_is_odd_about_a_map_is_said(run: Run, base_folder: Path, control_folder: Path) -> None:
    Image.new("RGB", (64, 64), "white").save("white.png")
    words = ["--base", base_folder, *ARGUMENTS, "--control", control_folder, "--condition", "white.png"]
    result = run("generate", *words, "--json")
    assert result.code == 0
    assert "warning: white.png: this map looks inverted" in result.err and result.err.count("looks inverted") == 1
    assert len(result.json["pictures"]) == 1


def test_words_that_are_not_read_are_named(run: Run, base_folder: Path) -> None:
    result = run("generate", "--base", base_folder, "--plain-prompt", "--prompt", "red " * 40, "--steps", "1", "-n", 2)
    assert result.code == 0
    assert result.err.count("warning: the prompt has") == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--prompt", "x", "--control", "tiny-canny"],
        ["--prompt", "x", "--condition", "map.png"],
        ["--prompt", "x", "--control", "tiny-canny:strong", "--condition", "map.png"],
        ["--prompt", "x", "--control", "tiny-canny:1:half", "--condition", "map.png"],
        ["--prompt", "x", "--size", "huge"],
        ["--prompt", "x", "--num-images", "0"],
        ["--prompt", "x", "--seed", "-1"],
    ],
)
def test_wrong_usage_makes_nothing(run: Run, base_folder: Path, words: list[str]) -> None:
    result = run("generate", "--base", base_folder, *words)
    assert (result.code, result.out) == (2, "")
    assert not Path("outputs").exists()


def test_extraction_is_told_with_a_picture_alone(run: Run, base_folder: Path) -> None:
    result = run("generate", "--base", base_folder, "--prompt", "red", "--steps", "1", "--set", "low=3")
    assert result.code == 2 and "--set says how maps are extracted from --image" in result.err


def test_a_control_of_several_conditions_takes_a_picture_and_maps_with_names(
    run: Run, base: StableDiffusion, base_folder: Path, control_folder: Path, photo: Path
) -> None:
    network = build_control(base.unet, seed=3, conditioning_channels=6)
    network.config = replace(network.config, condition="canny+soft-edge")
    network.save_pretrained("both")
    edges, soft = (extract(name, fit(open_image(photo), 64)) for name in ("canny", "soft-edge"))
    write_png(edges, Path("edges.png"))
    words = ["generate", "--base", base_folder, *ARGUMENTS, "--control", "both"]
    result = run(*words, "--image", photo, "--out", "one", "--json")
    assert result.code == 0, result.err
    (joined,) = result.json["maps"]
    assert open_image(joined) == join_maps([edges, soft]) and "masked" in result.json["settings"][0]["controls"][0]
    two = ["--control", control_folder, "--condition", "edges.png"]
    result = run(*words, "--image", photo, "--condition", "canny=edges.png", *two, "--out", "two", "--json")
    assert result.code == 0, result.err
    assert [open_image(path) for path in result.json["maps"]] == [join_maps([edges, soft]), edges]
    result = run(*words, "--condition", "soft-edge=none", "--condition=canny=edges.png", "--out", "three", "--json")
    assert result.code == 0, result.err
    assert open_image(result.json["maps"][0]) == join_maps([edges, Image.new("RGB", (64, 64))])
    assert [one["code"] for one in result.json["messages"]] == ["map.left-out"]
    again = run("generate", "--again", result.json["pictures"][0], "--out", "again", "--json")
    assert again.json["same_pixels"] is True
    for maps, said in (
        (["canny=edges.png"], "the map of soft-edge is missing"),
        (["edges.png"], "name each: --condition canny=PATH --condition soft-edge=PATH"),
        (["canny=edges.png", "canny=edges.png"], "got 1 --control and 2"),
        (["edges.png", "soft-edge=edges.png"], "got 1 --control and 2"),
    ):
        result = run(*words, *(word for one in maps for word in ("--condition", one)), "--out", "no")
        assert result.code in (1, 2) and said in " ".join(result.err.split()), result.err
    write_png(edges, Path("canny=edges.png"))  # a file that is called so
    assert run(*words, "--condition", "canny=edges.png", "--out", "no").code == 1
