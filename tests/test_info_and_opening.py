"""`zeroconv info` is exit code 0 exactly when some door opens the file, over all kinds of files that the tests can make."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
from torch import Tensor

from tests.foreign_models import CONTROL_LORAS, PUBLISHED, tensors_of
from tests.shelf import TEXT, Shelf
from tests.tiny import FAMILIES, UNION, build_unet, randomized
from zeroconv import ControlNet, StableDiffusion
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.formats.textual_inversion import read_embedding
from zeroconv.cli import main
from zeroconv.stable_diffusion.vae import open_vae

Tensors = dict[str, Tensor]


@cache
def unet_of(family: str) -> Any:
    """A U-Net of a family with the text width of its files; nobody changes it."""
    return build_unet({**FAMILIES[family], "cross_attention_dim": TEXT[family]})


def opens(shelf: Shelf, path: Path) -> bool:
    """Whether some door opens it, with the base that a ControlNet of its family needs, and the VAE that a base lacks."""
    family = path.name.split("-", 1)[0]
    unet = unet_of(family) if family in TEXT else shelf.base.unet
    whole = path.is_file() and any(name.startswith("model.diffusion_model.") for name in read_safetensors(path))
    calls: list[Callable[[], object]] = [
        lambda: ControlNet.from_pretrained(path, unet=unet),
        lambda: read_embedding(path),
        lambda: replace(shelf.base, unet=unet).add_lora(path, 0),
        lambda: StableDiffusion.from_pretrained(path, vae=shelf["vae.safetensors"]),
    ]
    if not whole and not (path / "vae").is_dir():  # a broken base may still lend its autoencoder
        calls.append(lambda: open_vae(path, torch.float32))
    for call in calls:
        try:
            call()
        except (ValueError, OSError):
            continue
        return True
    return False


def damaged(tensors: Tensors, name: str) -> Iterator[tuple[str, Tensors]]:
    """A file with one thing wrong, about one of its tensors."""
    tensor, rest = tensors[name], {other: kept for other, kept in tensors.items() if other != name}
    yield "without-one", rest
    yield "renamed", {**rest, f"{name}x": tensor}
    if "lora_unet" not in name:  # a LoRA may be for a base of other widths
        yield "shorter", {**rest, name: tensor[:-1]}
    yield "empty", {**rest, name: tensor[:0]}
    yield "not-finite", {**rest, name: torch.full_like(tensor, torch.nan)}
    yield "of-whole-numbers", {**rest, name: tensor.int()}


BIAS = "input_blocks.1.0.in_layers.2.bias"
DAMAGED = {
    "base.safetensors": f"model.diffusion_model.{BIAS}",
    "vae.safetensors": "first_stage_model.encoder.conv_in.bias",
    "sd15-webui.safetensors": BIAS,
    "sd21-lllyasviel.safetensors": f"control_model.{BIAS}",
    "sd15-difference.safetensors": f"control_model.{BIAS}",
    "sd15-control-lora.safetensors": "input_blocks.1.0.in_layers.2.down",
    "sdxl-control-lora.safetensors": "zero_convs.1.0.bias",
    "sd15-lora.safetensors": "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight",
    "sdxl-union.safetensors": "task_embedding",
    "word.safetensors": "emb_params",
}
"""A whole file -> one of its tensors."""


@pytest.fixture(scope="module")
def zoo(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole files that the shelf has not."""
    folder = tmp_path_factory.mktemp("zoo")
    settings: dict[str, Any] = {**UNION, "cross_attention_dim": TEXT["sdxl"]}
    files: dict[str, Tensors] = {
        "sdxl-union": dict(randomized(ControlNetUnionModel(**settings), 3).state_dict()),
        "word": {"emb_params": torch.rand(2, 768)},
        "words": {"clip_l": torch.rand(2, 768), "clip_g": torch.rand(2, 1280)},
        "learned_embeds": {"<cat-toy>": torch.rand(1024)},
        "many": {"emb_params": torch.rand(76, 768)},
        "deep": {"emb_params": torch.rand(2, 2, 768)},
        "half": {"emb_params": torch.rand(2, 768).half()},
        "fp8": {"emb_params": torch.rand(2, 768).to(torch.float8_e4m3fn)},
        "uneven": {"clip_l": torch.rand(2, 768), "clip_g": torch.rand(3, 1280)},
        "nothing": {},
        "number": {"a": torch.rand(())},
    }
    base = read_safetensors(shelf["base.safetensors"])
    for name, start in (("no-text", "cond_stage_model."), ("no-decoder", "model.diffusion_model.output_blocks."),
                        ("no-vae", "first_stage_model.")):  # fmt: skip
        files[name] = {other: tensor for other, tensor in base.items() if not other.startswith(start)}
    kinds = [*PUBLISHED, *CONTROL_LORAS]
    files |= {f"foreign-{index}": tensors_of(kind) for index, kind in enumerate(kinds)}
    for name, tensors in files.items():
        write_safetensors(folder / f"{name}.safetensors", tensors)
    return folder


def differences(shelf: Shelf, paths: list[Path]) -> dict[str, tuple[bool, bool]]:
    """What `info` and the doors say, where they disagree."""
    found = {path.name: (main(["info", str(path), "--no-hash"]) == 0, opens(shelf, path)) for path in paths}
    assert {both[0] for both in found.values()} == {True, False}
    return {name: both for name, both in found.items() if both[0] != both[1]}


def test_whole_files_of_every_kind(shelf: Shelf, zoo: Path) -> None:
    assert differences(shelf, [*shelf.at.glob("*.safetensors"), *zoo.glob("*.safetensors")]) == {}


@pytest.mark.parametrize("name", DAMAGED)
def test_files_with_one_thing_wrong(name: str, shelf: Shelf, zoo: Path, tmp_path: Path) -> None:
    place = shelf[name] if shelf[name].is_file() else zoo / name
    tensors = {other: tensor.clone() for other, tensor in read_safetensors(place).items()}
    for what, changed in damaged(tensors, DAMAGED[name]):
        write_safetensors(tmp_path / f"{name.removesuffix('.safetensors')}-{what}.safetensors", changed)
    assert differences(shelf, list(tmp_path.glob("*.safetensors"))) == {}


def test_folders_of_every_kind(shelf: Shelf, zoo: Path, tmp_path: Path) -> None:
    places = {
        "control": shelf["sd15-folder"], "base": shelf["base"], "unet": shelf["base"] / "unet", "vae": shelf["base"] / "vae",
        "text": shelf["base"] / "text_encoder",
    }  # fmt: skip
    for name, place in places.items():
        shutil.copytree(place, tmp_path / name)
    for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler", "model_index.json"):
        lacking = Path(shutil.copytree(shelf["base"], tmp_path / f"base-without-{part}"))
        (shutil.rmtree if (lacking / part).is_dir() else Path.unlink)(lacking / part)
    for part in ("config.json", "diffusion_pytorch_model.safetensors"):
        lacking = Path(shutil.copytree(shelf["sd15-folder"], tmp_path / f"sd15-without-{part}"))
        (lacking / part).unlink()
    (tmp_path / "nothing").mkdir()
    assert differences(shelf, list(tmp_path.iterdir())) == {}
