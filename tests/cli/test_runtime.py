"""`--runtime`: the same pictures up to rounding, and a name that there is not."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.cli.conftest import Run
from zeroconv.checkpoints.hub import derived_files
from zeroconv.cli import HOW, WAITING
from zeroconv.runtime.openvino import library


def test_all_ways_make_the_same_picture(run: Run, base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived_files.constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    words = ("generate", "--base", str(base_folder), "--prompt", "a", "--size", "64", "--steps", "2")
    pictures: list[np.ndarray] = []
    for name in ("torch", "plan", "auto", *(["openvino"] if library.is_installed() else [])):
        assert run(*words, "--runtime", name, "--out", name).code == 0
        pictures.append(np.asarray(Image.open(f"{name}/seed-0.png"), dtype=np.int16))
    assert all(np.abs(pictures[0] - other).max() <= 1 for other in pictures[1:])


def test_a_picture_made_in_another_way_is_made_again_up_to_rounding(run: Run) -> None:
    made = run("generate", "--base", "tiny", "--prompt", "a red house", "--steps", "8", "--runtime", "torch", "--out", "made")
    again = run("generate", "--again", "made/seed-0.png", "--out", "again")
    assert (
        (made.code, again.code) == (0, 0) and "the same pixels as made/seed-0.png" in again.err and "not the" not in again.err
    )
    with Image.open("made/seed-0.png") as picture:
        changed, text = picture.convert("RGB"), picture.info["zeroconv"]
    changed.putpixel((3, 3), (255, 0, 255))
    info = PngImagePlugin.PngInfo()
    info.add_text("zeroconv", text)
    changed.save("changed.png", pnginfo=info)
    assert "not the same pixels as changed.png" in run("generate", "--again", "changed.png", "--out", "third").err


def test_a_way_that_there_is_not(run: Run) -> None:
    for command in (("generate", "--prompt", "a"), ("evaluate", "--control", "tiny-canny", "--data", "world:2@900000000")):
        refused = run(*command, "--runtime", "quick")
        assert refused.code == 2 and "--runtime got 'quick'; expected torch, plan, openvino, compile or auto" in " ".join(
            refused.err.split()
        )


def test_openvino_that_is_not_installed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "is_installed", lambda: False)
    for command in (("generate", "--prompt", "a"), ("evaluate", "--control", "tiny-canny", "--data", "world:2@900000000")):
        refused = run(*command, "--runtime", "openvino")
        assert refused.code != 0 and 'pip install "zeroconv[openvino]"' in " ".join(refused.err.split())
        assert "Traceback" not in refused.err


def test_less_memory(run: Run, base_folder: Path) -> None:
    words = ("generate", "--base", str(base_folder), "--prompt", "a", "--size", "128", "--steps", "2")
    ways = {"plain": (), "tiles": ("--vae-tiles", "64"), "int8": ("--weights", "int8")}
    assert all(run(*words, *options, "--out", name).code == 0 for name, options in ways.items())
    plain, *others = (np.asarray(Image.open(f"{name}/seed-0.png"), dtype=np.int16) for name in ways)
    assert all(0 < np.abs(plain - other).mean() < 16 for other in others)
    again = run("generate", "--again", "int8/seed-0.png", "--out", "again").err
    assert "the same pixels" in again and "not the" not in again and "rounding" not in again
    for options, message in (
        (("--vae-tiles", "60"), "--vae-tiles is 60; expected a multiple of 8 from 64 on"),
        (("--weights", "int4"), "got --weights 'int4'; expected int8"),
        (("--offload", "disk"), "got --offload 'disk'; expected model or sequential"),
        (("--offload", "model", "--device", "cpu"), "offload model is for a GPU; the device is cpu"),
        (("--weights", "int8", "--runtime", "auto"), "the base's weights are in 8 bits, which auto does not run"),
    ):
        refused = run(*words, *options)
        assert refused.code != 0 and message in " ".join(refused.err.split()) and "Traceback" not in refused.err


def test_how_threads_wait_is_their_users_choice(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WAITING:
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    run("--version")
    assert {name: os.environ[name] for name in WAITING & os.environ.keys()} == HOW
    for name in WAITING:
        for other in WAITING:
            monkeypatch.delenv(other, raising=False)
        monkeypatch.setenv(name, "5")
        run("--version")
        assert WAITING & os.environ.keys() == {name} and os.environ[name] == "5"
