"""What a weight file is, by its names and shapes: nothing is called usable that every open refuses."""

import re
from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from tests.loras import build_parts
from tests.tiny import VAE, build_control, build_unet
from zeroconv.checkpoints import write_safetensors
from zeroconv.checkpoints.formats.controlnet_layouts import LAYOUTS, write_layout
from zeroconv.checkpoints.formats.identify import identify
from zeroconv.checkpoints.formats.lora import read_lora
from zeroconv.checkpoints.inspect.contents import Contents
from zeroconv.checkpoints.inspect.describe import describe

MODULE = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


SHARED = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"  # in every family, as the other is not


def found(tensors: dict[str, Tensor], folder: Path) -> Contents:
    write_safetensors(folder / "a.safetensors", tensors)
    return describe(folder / "a.safetensors", hashed=False)


def named(*names: str) -> dict[str, Tensor]:
    return {name: torch.zeros(4, 4) for name in names}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_control_has_exactly_its_tensors(layout: str, tmp_path: Path) -> None:
    unet = build_unet()
    base = named("model.diffusion_model.input_blocks.0.0.weight")
    written = write_layout(build_control(unet).state_dict(), layout, unet.state_dict(), base, rank=2)
    assert found(written, tmp_path).refused is None
    if layout == "control-lora":
        return
    prefix = "" if layout in ("diffusers", "webui") else "control_model."
    union = {**written, f"{prefix}task_embedding": torch.zeros(6, 16)}
    wanted = "tensor 'spatial_ch_projs.weight' is missing" if layout == "diffusers" else f"no place in the layout {layout!r}"
    assert wanted in str(found(union, tmp_path).refused)
    last = next(name for name in written if name.endswith(("mid_block.bias", "middle_block_out.0.bias")))
    cut = found({name: tensor for name, tensor in written.items() if name != last}, tmp_path)
    assert f"tensor {last.removeprefix(prefix)!r} is missing" in str(cut.refused) and cut.fits == ""


@pytest.mark.parametrize(
    ("names", "piece"),
    [
        ([f"{MODULE}.lora_up.weight", f"{MODULE}.dora_scale"], "without its 'down'"),
        ([f"{MODULE}.hada_w1_a", f"{MODULE}.alpha"], "without its 'hada_w1_b'"),
        ([f"{MODULE}.lokr_w1", f"{MODULE}.alpha"], "without its 'lokr_w2_a'"),
        ([f"{MODULE}.lora_down.weight", f"{MODULE}.lora_up.weight", f"{MODULE}.w_norm"], "differences of norms"),
        ([f"{MODULE}.lora_down.weight", f"{MODULE}.lora_up.weight", f"{MODULE}.lora_up.bias"], "LoRA with biases"),
        ([f"{MODULE}.oft_blocks", f"{MODULE}.lora_up.weight"], "OFT"),
        (["lora_prior_unet_down_blocks_0.lora_down.weight"], "Stable Cascade"),
        (["lycoris_elsewhere.lora_down.weight"], "fit no module"),
        (["lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight"], "FLUX"),
        (
            ["lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", "lora_unet_joint_blocks_0_x.lora_up.weight"],
            "joint_",
        ),
        (["transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight"], "FLUX"),
        (["transformer.transformer_blocks.0.attn.to_q.lora_A.weight"], "Stable Diffusion 3"),
        (["transformer_blocks.0.img_mlp.net.2.lora_A.weight"], "Qwen-Image"),
    ],
)
def test_what_cannot_be_merged_is_refused_by_both_in_the_same_words(names: list[str], piece: str, tmp_path: Path) -> None:
    contents = found(named(*names), tmp_path)
    assert contents.kind == "LoRA" and piece in str(contents.refused) and contents.fits == ""
    with pytest.raises(ValueError, match=re.escape(piece)) as caught:
        read_lora(contents.path, build_parts("sd15").shapes())
    assert str(caught.value) == str(contents.refused).replace(contents.path.name, str(contents.path), 1)


PAIR = {f"{MODULE}.lora_down.weight": (2, 768), f"{MODULE}.lora_up.weight": (320, 2)}
HADA = {f"{MODULE}.hada_w{i}_{side}": shape for i in (1, 2) for side, shape in (("a", (320, 2)), ("b", (2, 768)))}
KRON = {f"{MODULE}.lokr_w1": (4, 4), f"{MODULE}.lokr_w2": (80, 192)}


@pytest.mark.parametrize(
    ("shapes", "piece"),
    [
        ({**PAIR, **HADA}, "has both .*hada_w1_a.* and .*lora_down"),
        ({**KRON, f"{MODULE}.lokr_w1_a": (4, 1), f"{MODULE}.lokr_w1_b": (1, 4)}, "has both .*lokr_w1' and .*lokr_w1_a"),
        ({**PAIR, f"{MODULE}.dora_scale": (320, 1), f"{MODULE}.lora_magnitude_vector": (320,)}, "has both .* and .*dora_scale"),
        ({**PAIR, f"{MODULE}.lora_up.weight": (320, 3)}, r"\(320, 3\) and .* \(2, 768\), which cannot be multiplied"),
        ({**PAIR, f"{MODULE}.lora_up.weight": (0, 2)}, "which cannot be multiplied"),
        ({**HADA, f"{MODULE}.hada_w2_b": (3, 768)}, r"hada_w2_a' \(320, 2\) and .* \(3, 768\), which cannot be multiplied"),
        ({**PAIR, f"{MODULE}.alpha": (2,)}, r"alpha' holds 2 numbers; expected one"),
    ],
)
def test_updates_that_are_two_or_none_are_refused_by_info_and_by_merging(
    shapes: dict[str, tuple[int, ...]], piece: str, tmp_path: Path
) -> None:
    contents = found({name: torch.rand(shape) for name, shape in shapes.items()}, tmp_path)
    assert contents.kind == "LoRA" and re.search(piece, str(contents.refused)) and contents.fits == ""
    with pytest.raises(ValueError, match=r"has both|expected factors of a weight|expected one"):
        read_lora(contents.path, build_parts("sd15", cross_attention_dim=768).shapes())


def test_a_second_text_encoder_is_refused_where_the_family_has_one(tmp_path: Path) -> None:
    second = "lora_te2_text_model_encoder_layers_0_mlp_fc1"
    sides = {"down": (2, 768), "up": (320, 2)}
    tensors = {f"{name}.lora_{role}.weight": torch.zeros(side) for name in (SHARED, second) for role, side in sides.items()}
    assert "fit no module of this base" in str(found(tensors, tmp_path).refused)
    wide = {name: torch.zeros(2, 2048) if "lora_down" in name else tensor for name, tensor in tensors.items()}
    sdxl = found(wide, tmp_path)
    assert (sdxl.refused, sdxl.family and sdxl.family.key) == (None, "sdxl")


@pytest.mark.parametrize(
    ("kind", "roles"),
    [
        ("LoRA", ("lora_down.weight", "lora_up.weight")),
        ("DoRA", ("lora_down.weight", "lora_up.weight", "dora_scale")),
        ("LoHa", ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")),
        ("LoKr", ("lokr_w1", "lokr_w2_a", "lokr_w2_b")),
    ],
)
def test_what_can_be_merged_is_told_by_its_kind(kind: str, roles: tuple[str, ...], tmp_path: Path) -> None:
    left = ("lora_up.weight", "hada_w1_a", "hada_w2_a")
    contents = found({f"{MODULE}.{role}": torch.zeros((320, 4) if role in left else (4, 768)) for role in roles}, tmp_path)
    assert (contents.kind, contents.refused, contents.details["rank"]) == (kind, None, "4")
    assert (contents.family is None) == (kind == "LoKr")  # whose shapes do not tell the width of the text


def test_autoencoders_by_their_latents(tmp_path: Path) -> None:
    def vae(channels: int, quantised: bool = True) -> dict[str, Tensor]:
        network = AutoencoderKL(**VAE, latent_channels=channels, use_quant_conv=quantised, use_post_quant_conv=quantised)
        return dict(network.state_dict())

    assert found(vae(4), tmp_path).fits.startswith("any base")
    wide = found(vae(8), tmp_path)
    assert wide.refused is None and "only a base of 8 latent channels" in wide.fits
    assert wide.details["latent channels"] == "8"
    flux = found(vae(16, quantised=False), tmp_path)
    assert "16 latent channels and no 'quant_conv'" in str(flux.refused) and flux.fits == ""


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["down_blocks.0.motion_modules.0.temporal_transformer.norm.weight"], "an AnimateDiff motion module"),
        (["down_blocks.0.motion_modules.0.temporal_transformer.norm.weight", "conv_in.weight"], "an AnimateDiff motion module"),
        (["conv_in.weight", "body.0.block1.weight"], "a T2I-Adapter"),
        (["adapter.conv_in.weight", "adapter.body.0.resnets.0.block1.weight"], "a T2I-Adapter"),
        (["lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_k.down.0.weight"], "a ControlNet-LLLite"),
        (["image_proj.latents"], "an IP-Adapter"),
        (["ip_adapter.1.to_k_ip.weight", "ip_adapter.0.to_k_lora.down.weight"], "an IP-Adapter"),
        (["transformer_blocks.0.attn.add_k_proj.weight"], "a transformer, such as Stable Diffusion 3 or FLUX.1"),
        (
            ["single_transformer_blocks.0.norm.linear.weight", "transformer_blocks.0.attn.add_k_proj.weight"],
            "a FLUX.1 transformer",
        ),
        (["model.diffusion_model.double_blocks.0.img_attn.qkv.weight"], "a FLUX.1 checkpoint"),
        (["conv_in.weight"], "unknown"),
    ],
)
def test_strangers_are_named(names: list[str], kind: str, tmp_path: Path) -> None:
    contents = found(named(*names), tmp_path)
    assert contents.kind == kind and contents.refused
    assert kind == "unknown" or f"it is {kind}, which this project does not open" == identify(dict.fromkeys(names, (4, 4)))


def test_a_unet_alone_is_still_one(tmp_path: Path) -> None:
    assert found(dict(build_unet().state_dict()), tmp_path).kind == "U-Net"
