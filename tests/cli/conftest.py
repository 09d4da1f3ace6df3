"""A command line in this process, a control with random weights, and pictures to give it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.tiny import build_control
from zeroconv.cli import main
from zeroconv.stable_diffusion import StableDiffusion


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON object and nothing else."""
        return json.loads(self.out)


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command inside an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ZEROCONV_DEBUG", raising=False)

    def call(*words: object) -> Result:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def control_folder(base: StableDiffusion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ControlNet for canny edges with random weights."""
    network = build_control(base.unet, seed=3)
    network.config = replace(network.config, condition="canny", base=base.name)
    return network.save_pretrained(tmp_path_factory.mktemp("controls") / "random-canny")


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that is neither square nor of the base's size."""
    image = Image.new("RGB", (120, 90), (20, 60, 200))
    ImageDraw.Draw(image).rectangle((30, 20, 80, 70), fill=(240, 220, 30))
    path = tmp_path_factory.mktemp("pictures") / "photo.png"
    image.save(path)
    return path


@pytest.fixture(scope="session")
def edge_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ready map of the base's size, 64x64."""
    image = Image.new("RGB", (64, 64))
    ImageDraw.Draw(image).rectangle((12, 12, 50, 40), outline=(255, 255, 255))
    path = tmp_path_factory.mktemp("maps") / "edges.png"
    image.save(path)
    return path
