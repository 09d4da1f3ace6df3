"""What diffusers reads of what we write, per family and layout: the table in docs/files.md, tried."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel

from tests.shelf import Shelf
from tests.tiny import FAMILIES
from zeroconv.checkpoints import read_safetensors

WEIGHTS = "diffusion_pytorch_model.safetensors"
EXACT, WRONG, RAISES = "exact", "wrong", "raises"
READ = {
    "diffusers": (EXACT, EXACT, EXACT),
    "webui": (EXACT, EXACT, RAISES),
    "lllyasviel": (EXACT, EXACT, RAISES),
    "difference": (WRONG, WRONG, RAISES),
    "control-lora": (RAISES, RAISES, RAISES),
}
"""Layout -> what `from_single_file` makes of it for SD 1.5, SD 2.1, SDXL, with the configuration of the folder."""


def outcome(network: Any, folder: Path) -> str:
    wanted, found = read_safetensors(folder / WEIGHTS), network.state_dict()
    same = wanted.keys() == found.keys() and all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    return EXACT if same else WRONG


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_is_read_exactly(family: str, shelf: Shelf) -> None:
    folder = shelf[f"{family}-folder"]
    assert outcome(ControlNetModel.from_pretrained(folder), folder) == EXACT


@pytest.mark.parametrize("layout", READ)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_single_file(family: str, layout: str, shelf: Shelf) -> None:
    folder = shelf[f"{family}-folder"]
    path = folder / WEIGHTS if layout == "diffusers" else shelf[f"{family}-{layout}.safetensors"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = outcome(ControlNetModel.from_single_file(str(path), config=str(folder), local_files_only=True), folder)
    except (NotImplementedError, AttributeError, ValueError):
        found = RAISES
    assert found == READ[layout][list(FAMILIES).index(family)]
