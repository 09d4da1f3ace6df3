"""Files of other families: every door and `info` call them by the same name, and none is opened."""

from pathlib import Path

import pytest
import torch

from tests.foreign_models import BUILT, PUBLISHED, names_of
from tests.loras import build_parts
from tests.shelf import DOORS, Shelf, refused
from zeroconv.checkpoints import write_safetensors
from zeroconv.checkpoints.formats.foreign_models import FOREIGN_MODELS, PARTS, find
from zeroconv.checkpoints.formats.identify import foreign_model, identify, part_alone
from zeroconv.checkpoints.inspect.describe import describe

FILES = [*(("built", kind) for kind in BUILT), *(("published", kind) for kind in PUBLISHED)]


@pytest.mark.parametrize(("source", "kind"), FILES)
def test_every_door_calls_it_by_the_name_that_info_gives(source: str, kind: str, shelf: Shelf, tmp_path: Path) -> None:
    names = names_of(kind) if source == "built" else PUBLISHED[kind]
    path = tmp_path / "a.safetensors"
    write_safetensors(path, {name: torch.rand(2, 2) for name in names})
    contents = describe(path, hashed=False)
    assert contents.kind.startswith(kind) and contents.fits == ""
    assert str(contents.refused).startswith(f"it is {contents.kind}, which this project does not open")
    for door in DOORS:
        refused(lambda door=door: DOORS[door](shelf, path), f"it is {contents.kind}".replace("(", r"\(").replace(")", r"\)"))


def test_nothing_of_ours_is_foreign(shelf: Shelf) -> None:
    for path in sorted(shelf.at.glob("*.safetensors")):
        kind = describe(path, hashed=False).kind
        assert kind in ("base", "ControlNet", "LoRA", "VAE", "U-Net"), path.name
    for family in ("sd15", "sd21", "sdxl"):
        names = [f"model.diffusion_model.{name}" for name in build_parts(family).shapes()]
        assert find(names, FOREIGN_MODELS) is None and "which this project does not open" not in identify(names)


def test_a_lora_for_another_family_is_a_lora() -> None:
    assert foreign_model(["transformer_blocks.0.img_mlp.net.2.lora_A.weight"]) is None
    assert part_alone(["text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight"]) is None


def test_a_mark_begins_at_a_word() -> None:
    assert find(["controlnet_x_embedder.weight"], FOREIGN_MODELS) == find(
        ["module.controlnet_x_embedder.weight"], FOREIGN_MODELS
    )
    assert find(["my_controlnet_x_embedder.weight"], FOREIGN_MODELS) is None


def test_every_kind_can_be_reached() -> None:
    """No earlier one has all the marks of a later one that is called otherwise."""
    for table in (FOREIGN_MODELS, PARTS):
        for kind in table:
            found = find([mark + "x" for mark in kind.marks], table)
            assert found is not None and found.what == kind.what, kind
