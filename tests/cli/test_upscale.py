"""`zeroconv upscale`, and `zeroconv generate` from a picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from tests.cli.conftest import Run
from tests.tiny import build_control, build_map
from zeroconv.conditions import extract
from zeroconv.generation import read_metadata
from zeroconv.images import open_image, write_png
from zeroconv.stable_diffusion import StableDiffusion

SHORT = ["--steps", 2, "--strength", 0.5]


def test_a_picture_is_enlarged_by_a_control_that_reads_it(run: Run, base_folder: Path, control_folder: Path) -> None:
    write_png(build_map(72, 40), Path("small.png"))
    words = ["--base", base_folder, *SHORT, "--control", f"{control_folder}:0.5", "--tile", 64, "--overlap", 16]
    result = run("upscale", "small.png", "--factor", 1.5, "--prompt", "a red house", *words, "--out", "large", "--json")
    assert result.code == 0, result.err
    assert "the picture becomes 112x64 pixels, multiples of 8, and is cut to fit (exact: 108 and 60)" in result.err
    made, settings = open_image(result.json["pictures"][0]), result.json["settings"][0]
    assert made.size == open_image(result.json["maps"][0]).size == (112, 64)
    assert (settings["strength"], settings["tile"], settings["tile_overlap"], settings["masked"]) == (0.5, 64, 16, False)
    again = run("generate", "--again", result.json["pictures"][0], "--out", "again", "--json")
    assert again.code == 0 and again.json["same_pixels"] is True, again.err


def test_the_tiles_are_of_the_bases_size_and_wrong_numbers_name_their_option(run: Run, base_folder: Path) -> None:
    write_png(build_map(32, 32), Path("small.png"))
    result = run("upscale", "small.png", "--base", base_folder, *SHORT, "--json")
    assert result.code == 0, result.err
    assert result.json["settings"][0]["tile"] == 64 and result.json["settings"][0]["size"] == [64, 64]
    for words, said in (
        (["--factor", 9], "error: --factor is 9; expected 1 to 8"),
        (["--strength", 0], "error: --strength is 0.0; expected greater than 0, usually 0.3 to 0.8"),
        (["--overlap", 64], "error: --overlap is 64 pixels, and tiles have 64; expected less"),
    ):
        wrong = run("upscale", "small.png", "--base", base_folder, *words)
        assert wrong.code == 1 and wrong.err.strip() == said


def test_one_command_inpaints_with_a_control_for_it(run: Run, base_folder: Path, base: StableDiffusion) -> None:
    network = build_control(base.unet, seed=3)
    network.config = replace(network.config, condition="inpaint", base=base.name)
    network.save_pretrained(Path("filler"))
    picture, mask = build_map(), Image.new("L", (64, 64))
    mask.paste(255, (20, 20, 44, 50))
    write_png(picture, Path("photo.png"))
    write_png(mask, Path("hole.png"))
    words = ["--base", base_folder, "--prompt", "a red house", *SHORT, "--init", "photo.png", "--init-mask", "hole.png"]
    result = run("generate", *words, "--control", "filler", "--json")
    assert result.code == 0, result.err
    kept = np.asarray(mask) == 0
    assert np.array_equal(np.asarray(open_image(result.json["pictures"][0]))[kept], np.asarray(picture)[kept])
    (control,) = read_metadata(result.json["pictures"][0]).request.controls
    with Image.open(result.json["maps"][0]) as shown:
        assert shown.tobytes() == extract("inpaint", picture, mask=mask).tobytes()
    assert control.condition is not None and "strength 0.5 of 2 steps: the last 1 are run" in result.err


def test_what_does_not_fit_is_one_line(run: Run, base_folder: Path, photo: Path) -> None:
    words = ["generate", "--base", base_folder, "--prompt", "a red house", "--steps", 1]
    sized = run(*words, "--init", photo, "--size", 64)
    assert sized.code == 1 and "photo.png is 120x90 pixels, the pictures are 64x64: add --resize to fit it" in sized.err
    odd = run(*words, "--init", photo)
    assert odd.code == 1 and odd.err.startswith("error: --init is 120x90 pixels; expected multiples of 8: say the size")
    assert "such as 120x88, and how to resize it" in odd.err
    alone = run(*words, "--init-mask", photo)
    assert alone.code == 2 and "expected --init PICTURE too" in alone.err
    fitted = run(*words, "--init", photo, "--size", 64, "--resize", "fill", "--strength", 1, "--json")
    assert fitted.code == 0 and open_image(fitted.json["pictures"][0]).size == (64, 64), fitted.err
