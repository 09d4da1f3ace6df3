"""Prefixes of training programs' wrappers: passed over in every kind of file, and told."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.loras import Factors, kohya
from tests.shelf import write_base_file
from tests.tiny import SD15, build_base, build_control, build_unet, numbers
from zeroconv import ControlNet, StableDiffusion
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.files.wrappers import unwrap, wrapper_of
from zeroconv.checkpoints.formats.controlnet_layouts import write_layout
from zeroconv.checkpoints.inspect.describe import describe
from zeroconv.messages import Message, listen

KEY = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"


@pytest.mark.parametrize(
    "prefix",
    [
        "module._orig_mod.", "controlnet.",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("module.", "_orig_mod.", "_forward_module.")),
    ],
)  # fmt: skip
def test_a_control_in_a_wrapper_is_the_control(prefix: str, tmp_path: Path) -> None:
    unet = build_unet()
    control = build_control(unet, seed=1)
    wanted = control.state_dict()
    control.save_pretrained(tmp_path / "folder")
    write_safetensors(
        tmp_path / "folder" / "diffusion_pytorch_model.safetensors", {prefix + name: tensor for name, tensor in wanted.items()}
    )
    for layout in ("diffusers", "webui", "lllyasviel"):
        written = {prefix + name: tensor for name, tensor in write_layout(wanted, layout).items()}
        write_safetensors(tmp_path / f"{layout}.safetensors", written)
    for path in (tmp_path / "folder", *tmp_path.glob("*.safetensors")):
        said: list[Message] = []
        with listen(said.append):
            found = ControlNet.from_pretrained(path, unet=unet).state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
        assert [(one.code, repr(prefix) in one.text) for one in said if one.code == "file.wrapper"] == [("file.wrapper", True)]
        assert describe(path, hashed=False).refused is None


def test_bases_and_loras_in_a_wrapper(tmp_path: Path) -> None:
    write_base_file(tmp_path / "base.safetensors", "sd15", torch.float16)
    tensors = read_safetensors(tmp_path / "base.safetensors")
    write_safetensors(tmp_path / "wrapped.safetensors", {f"module.{name}": tensor for name, tensor in tensors.items()})
    assert describe(tmp_path / "wrapped.safetensors", hashed=False).details["prefix"].startswith("module. before every name")
    with listen(lambda _: None):
        one, other = (StableDiffusion.from_pretrained(tmp_path / f"{name}.safetensors") for name in ("base", "wrapped"))
    theirs: Any = other.unet.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in one.unet.state_dict().items())
    vae = {f"module.{name}": tensor for name, tensor in tensors.items() if name.startswith("first_stage_model.")}
    write_safetensors(tmp_path / "vae.safetensors", vae)
    with listen(lambda _: None):
        lent = StableDiffusion.from_pretrained(tmp_path / "base.safetensors", vae=tmp_path / "vae.safetensors")
    theirs = lent.vae.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in one.vae.state_dict().items())
    lora = kohya({"unet": {KEY: Factors(numbers(2, SD15["cross_attention_dim"]), numbers(32, 2))}})
    write_safetensors(tmp_path / "lora.safetensors", {f"module.{name}": tensor for name, tensor in lora.items()})
    with listen(lambda _: None):
        assert build_base(tmp_path / "tiny").add_lora(tmp_path / "lora.safetensors").modules == {"unet": 1}


def test_only_what_all_names_share_is_a_wrapper() -> None:
    assert wrapper_of(["module.a", "module.b.c"]) == "module."
    assert (
        wrapper_of(["module.a", "b"])
        == wrapper_of([])
        == wrapper_of(["modules.a"])
        == wrapper_of(["controlnet_mid_block.a"])
        == ""
    )
    for prefix in ("module.", "_orig_mod.", "_forward_module.", "controlnet.", "module._orig_mod."):
        assert wrapper_of([f"{prefix}a", f"{prefix}b.c"]) == prefix
    assert unwrap({"a": numbers(1)}, "it").keys() == {"a"}


def test_a_few_tensors_beside_a_control_are_passed_over_and_told(tmp_path: Path) -> None:
    unet = build_unet()
    control = build_control(unet, seed=1)
    for layout in ("diffusers", "webui"):
        beside = {"logvar": numbers(3), "model_ema.decay": numbers(1)}
        write_safetensors(tmp_path / "beside.safetensors", {**write_layout(control.state_dict(), layout), **beside})
        said: list[Message] = []
        with listen(said.append):
            found = ControlNet.from_pretrained(tmp_path / "beside.safetensors", unet=unet).state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in control.state_dict().items())
        assert ["logvar, model_ema.decay; it is passed over" in one.text for one in said if one.code == "file.left-out"] == [
            True
        ]
        told = describe(tmp_path / "beside.safetensors", hashed=False)
        assert told.refused is None and told.details["passed over"] == "logvar, model_ema.decay"
        inside = {"mid_block.resnets.0.more.weight" if layout == "diffusers" else "middle_block.0.more.weight": numbers(3)}
        many = {f"other.{index}.weight": numbers(1) for index in range(9)}
        for wrong in (inside, many):
            write_safetensors(tmp_path / "wrong.safetensors", {**write_layout(control.state_dict(), layout), **wrong})
            with pytest.raises(ValueError, match="unknown"):
                ControlNet.from_pretrained(tmp_path / "wrong.safetensors", unet=unet)
            assert "unknown" in str(describe(tmp_path / "wrong.safetensors", hashed=False).refused)


def test_what_is_no_safetensors_file_is_called_by_its_name(tmp_path: Path) -> None:
    for content, name in (
        (b"", "is empty, as a download that was cut off"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(99), "is an archive, not a safetensors file: unpack it first"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "is an archive"),
        (b"\x08\x07\x12\x07pytorch" + bytes(99), "is an ONNX model"),
    ):
        path = tmp_path / "control.safetensors"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=name):
            ControlNet.from_pretrained(path)


def test_a_folder_of_pickles_says_the_command_that_opens_them(tmp_path: Path) -> None:
    unet = build_unet()
    folder = build_control(unet, seed=1).save_pretrained(tmp_path / "folder")
    weights = folder / "diffusion_pytorch_model.safetensors"
    torch.save(read_safetensors(weights), folder / "diffusion_pytorch_model.bin")
    weights.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"zeroconv convert .*\.bin .*diffusion_pytorch_model\.safetensors --to safetensors"
    ):
        ControlNet.from_pretrained(folder)
