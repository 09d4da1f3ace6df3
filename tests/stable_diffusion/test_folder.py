"""A base is opened from what its folder holds, in any form diffusers writes, and from nothing its files name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from tests.tiny import NOISE, SD15, SD21, build_base, build_unet, build_vae, copies, numbers, unchanged
from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.files.shards import read_weights
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.stable_diffusion.build import build_text_encoder, fill
from zeroconv.stable_diffusion.build import build_unet as build_unet_of

Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(base_folder: Path, tmp_path: Path) -> Path:
    """A copy of the base's folder to be changed."""
    return Path(shutil.copytree(base_folder, tmp_path / "base"))


def rewrite(path: Path, change: Change) -> None:
    """Change the tensors of a file."""
    tensors = change(copies(read_safetensors(path).items()))
    path.unlink()
    write_safetensors(path, tensors)


def settle(path: Path, **settings: Any) -> None:
    """Change settings of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **settings}), "utf-8")


def same(one: StableDiffusion, other: StableDiffusion) -> bool:
    """Whether all networks hold the same tensors."""
    pairs = zip(one.networks, other.networks, strict=True)
    return all(unchanged(mine, copies(theirs.state_dict().items())) for mine, theirs in pairs)


def test_networks_are_those_the_libraries_open(xl: StableDiffusion, xl_folder: Path) -> None:
    kinds: dict[str, Any] = {
        "unet": UNet2DConditionModel,
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
        "text_encoder_2": CLIPTextModelWithProjection,
    }
    for part, kind in kinds.items():
        theirs = kind.from_pretrained(xl_folder / part)
        mine = getattr(xl, part)
        assert type(mine) is kind and unchanged(mine, copies(theirs.state_dict().items()))
        assert not mine.training and not any(p.requires_grad or p.is_meta for p in mine.parameters())
        for (name, buffer), (other, wanted) in zip(mine.named_buffers(), theirs.named_buffers(), strict=True):
            assert name == other and torch.equal(buffer, wanted)
    assert xl.is_xl and xl.force_zeros_for_empty_prompt and len(xl.networks) == 4


def test_the_family_is_told_by_the_unet(base: StableDiffusion, xl: StableDiffusion, tmp_path: Path) -> None:
    v = build_base(tmp_path / "v", config=SD21, noise={**NOISE, "prediction_type": "v_prediction"})
    assert [b.family.key for b in (base, v, xl)] == ["sd15", "sd21", "sdxl"]
    assert v.prediction_type == "v_prediction" and base.prediction_type == "epsilon"
    told = StableDiffusion.from_pretrained(tmp_path / "v", prediction_type="epsilon")
    assert told.prediction_type == "epsilon" and same(told, v)
    with pytest.raises(ValueError, match=r"the prediction type is 'sample'; expected 'epsilon' or 'v_prediction'$"):
        StableDiffusion.from_pretrained(tmp_path / "v", prediction_type="sample")


def test_none_keeps_the_type_and_the_memory(folder: Path) -> None:
    rewrite(folder / UNET, lambda tensors: {name: tensor.half() for name, tensor in tensors.items()})
    base = StableDiffusion.from_pretrained(folder, dtype=None)
    assert (base.dtype, base.vae.dtype) == (torch.float16, torch.float32)
    assert StableDiffusion.from_pretrained(folder).dtype == torch.float32
    stored = read_weights(folder / "unet")
    kept, copied = (fill(meta(), stored, dtype, "U-Net") for dtype in (None, torch.float16))
    for name, parameter in kept.named_parameters():
        assert parameter.data_ptr() == stored[name].data_ptr()
        assert copied.get_parameter(name).data_ptr() != stored[name].data_ptr()
        assert torch.equal(copied.get_parameter(name), parameter)


def meta() -> UNet2DConditionModel:
    """A U-Net without memory."""
    with torch.device("meta"):
        return UNet2DConditionModel(**SD15)


def test_a_file_of_several_types_is_brought_to_the_widest_and_eight_bits_need_a_type() -> None:
    stored = copies(build_unet().state_dict().items())
    mixed = {name: tensor.half() if "norm" in name else tensor for name, tensor in stored.items()}
    assert {p.dtype for p in fill(meta(), mixed, None, "U-Net").parameters()} == {torch.float32}
    eight = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in stored.items()}
    with pytest.raises(ValueError, match=r"^the U-Net is stored as torch\.float8_e4m3fn, .*: give a dtype$"):
        fill(meta(), eight, None, "U-Net")
    assert fill(meta(), eight, torch.float32, "U-Net").dtype == torch.float32


def test_copies_are_laid_out_alike_whatever_the_file_did() -> None:
    stored = copies(build_unet().state_dict().items())
    turned = {name: tensor.t().contiguous().t() if tensor.ndim == 2 else tensor for name, tensor in stored.items()}
    filled = fill(meta(), turned, torch.float32, "U-Net")
    assert all(p.is_contiguous() for p in filled.parameters()) and unchanged(filled, stored)


def half_variants(folder: Path) -> None:
    for part, stem in (("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model"), ("text_encoder", "model")):
        path = folder / part / f"{stem}.safetensors"
        rewrite(path, lambda tensors: {name: tensor.half() for name, tensor in tensors.items()})
        path.rename(folder / part / f"{stem}.fp16.safetensors")


def sharded(folder: Path) -> None:
    unet: Any = UNet2DConditionModel.from_pretrained(folder / "unet")
    vae: Any = AutoencoderKL.from_pretrained(folder / "vae")
    (folder / UNET).unlink()
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    unet.save_pretrained(folder / "unet", max_shard_size="100KB")
    vae.save_pretrained(folder / "vae", max_shard_size="20KB", variant="fp16")
    text: Any = CLIPTextModel.from_pretrained(folder / "text_encoder")
    (folder / "text_encoder" / "model.safetensors").unlink()
    text.save_pretrained(folder / "text_encoder", max_shard_size="3KB")
    assert len(list(folder.rglob("*-of-*"))) > 6


def older_names(folder: Path) -> None:
    """As SD 1.5 was published."""
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def vae(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        for new, name in old.items():
            tensors = {key.replace(f"attentions.0.{new}.", f"attentions.0.{name}."): t for key, t in tensors.items()}
        return tensors

    def text(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        counted = {"text_model.embeddings.position_ids": torch.arange(16)[None]}
        return {**{f"text_model.{name.removeprefix('text_model.')}": t for name, t in tensors.items()}, **counted}

    rewrite(folder / "vae" / "diffusion_pytorch_model.safetensors", vae)
    rewrite(folder / "text_encoder" / "model.safetensors", text)


@pytest.mark.parametrize("change", [half_variants, sharded, older_names])
def test_every_form_of_a_folder_gives_the_same_base(
    change: Callable[[Path], None], folder: Path, base: StableDiffusion
) -> None:
    change(folder)
    opened = StableDiffusion.from_pretrained(folder)
    if change is half_variants:
        wanted = StableDiffusion.from_pretrained(base.name)
        for network in wanted.networks:
            network.half().float()
        assert same(opened, wanted)
    else:
        assert same(opened, base)
        assert torch.equal(opened.encode_text(["sea"]).hidden_states, base.encode_text(["sea"]).hidden_states)


def test_a_projecting_text_encoder_without_the_prefix(xl: StableDiffusion, xl_folder: Path) -> None:
    stored = read_weights(xl_folder / "text_encoder_2", "model")
    bare = {name.removeprefix("text_model."): tensor for name, tensor in stored.items()}
    assert bare.keys() != stored.keys()
    config = json.loads((xl_folder / "text_encoder_2" / "config.json").read_text())
    mine = build_text_encoder(config, bare, torch.float32, projection=True)
    assert unchanged(mine, copies(xl.text_encoder_2.state_dict().items()))


def test_another_autoencoder_is_taken(folder: Path, base: StableDiffusion, tmp_path: Path) -> None:
    other = build_vae(seed=5)
    other.save_pretrained(tmp_path / "vae-ft")
    for given in (tmp_path / "vae-ft", str(tmp_path / "vae-ft")):
        opened = StableDiffusion.from_pretrained(folder, vae=given)
        assert unchanged(opened.vae, copies(other.state_dict().items())) and not unchanged(
            other, copies(base.vae.state_dict().items())
        )
    assert same(StableDiffusion.from_pretrained(folder, vae=base.name), base)
    with pytest.raises(
        ValueError, match=r"cannot be opened as a base: [^\n]*config\.json describes 'UNet2DConditionModel'; expected A"
    ):
        StableDiffusion.from_pretrained(folder, vae=folder / "unet")


def test_the_autoencoder_of_xl_stays_in_float32_under_float16(xl_folder: Path) -> None:
    opened = StableDiffusion.from_pretrained(xl_folder, dtype=torch.float16)
    for half in (opened, StableDiffusion.from_pretrained(xl_folder).to("cpu", torch.float16)):
        assert (half.dtype, half.vae.dtype, half.text_encoder_2.dtype) == (torch.float16, torch.float32, torch.float16)
        assert half.encode_images(torch.zeros(1, 3, 64, 64)).dtype == torch.float16
        assert half.decode(numbers(1, 4, 8, 8).half()).isfinite().all()
        text = half.encode_text(["sea"])
        assert text.pooled is not None and text.hidden_states.dtype == text.pooled.dtype == torch.float16
    assert opened.to("cpu", torch.bfloat16).vae.dtype == torch.bfloat16
    settle(Path(shutil.copytree(xl_folder / "vae", xl_folder / "vae-fix")) / "config.json", force_upcast=False)
    fixed = StableDiffusion.from_pretrained(xl_folder, dtype=torch.float16, vae=xl_folder / "vae-fix")
    assert fixed.vae.dtype == torch.float16


SD15_CROSS = {"cross_attention_dim": 768, "attention_head_dim": 8}
SD21_CROSS = {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True}
XL_CROSS = {
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "use_linear_projection": True,
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": [1, 2, 10],
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


@pytest.mark.parametrize(("config", "count"), [(SD15_CROSS, 686), (SD21_CROSS, 686), (XL_CROSS, 1680)])
def test_published_configurations_are_understood(config: dict[str, Any], count: int) -> None:
    """Full-size U-Nets with tensors that have shapes and no memory, and one tensor of each lost."""
    with torch.device("meta"):
        stored = UNet2DConditionModel(**config).state_dict()
    unet = build_unet_of({"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.19.0", **config}, stored, None)
    assert len(stored) == count and unet.config.cross_attention_dim == config["cross_attention_dim"]
    lost = next(name for name in stored if name.endswith("norm2.bias"))
    with pytest.raises(ValueError, match=rf"tensor '{lost}' is missing \(1 missing, 0 unknown\)$"):
        build_unet_of(config, {name: tensor for name, tensor in stored.items() if name != lost}, None)
