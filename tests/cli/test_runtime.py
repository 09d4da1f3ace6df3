"""`--runtime`: the same pictures up to rounding, and a name that there is not."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.cli.conftest import Run


def test_plans_make_the_same_picture(run: Run, base_folder: Path) -> None:
    words = ("generate", "--base", str(base_folder), "--prompt", "a", "--size", "64", "--steps", "2")
    pictures: list[np.ndarray] = []
    for name in ("torch", "plan"):
        assert run(*words, "--runtime", name, "--out", name).code == 0
        pictures.append(np.asarray(Image.open(f"{name}/seed-0.png"), dtype=np.int16))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_a_way_that_there_is_not(run: Run) -> None:
    for command in (("generate", "--prompt", "a"), ("evaluate", "--control", "tiny-canny", "--data", "world:2@900000000")):
        refused = run(*command, "--runtime", "openvino")
        assert refused.code == 2 and "--runtime got 'openvino'; expected torch or plan" in " ".join(refused.err.split())
