"""Configurations made from shapes: the networks they describe have the published numbers of parameters and of heads."""

from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from tests.checkpoints.reduced import (
    PUBLISHED,
    REDUCED,
    VAE_PUBLISHED,
    VAE_REDUCED,
    controlnet_on_meta,
    on_meta,
    shapes_of,
    text_on_meta,
    unet_on_meta,
    vae_on_meta,
)
from zeroconv.checkpoints.architecture.families import FAMILIES, TextEncoder
from zeroconv.checkpoints.formats.configs import controlnet_config, scheduler_config, text_config, unet_config, vae_config


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("family", "unet", "control"),
    # Known as 860 M, 866 M and 2.6 B, and 361 M, 364 M and 1.25 B; to the last digit as diffusers 0.42 builds them.
    [("sd15", 859_520_964, 361_279_120), ("sd21", 865_910_724, 364_228_240), ("sdxl", 2_567_463_684, 1_251_014_160)],
)
def test_networks_have_the_published_size(family: str, unet: int, control: int) -> None:
    assert count(unet_on_meta(PUBLISHED[family])) == unet
    assert count(controlnet_on_meta(PUBLISHED[family])) == control


def heads(network: Any) -> list[int]:
    """Heads of the attention at each level of the encoder that has any, and of the middle block."""
    places = [block.attentions[0] for block in network.down_blocks if hasattr(block, "attentions")]
    return [place.transformer_blocks[0].attn1.heads for place in (*places, network.mid_block.attentions[0])]


def test_sd15_has_eight_heads_everywhere_and_the_others_heads_of_64_channels() -> None:
    assert heads(unet_on_meta(PUBLISHED["sd15"])) == heads(controlnet_on_meta(PUBLISHED["sd15"])) == [8] * 4
    assert heads(unet_on_meta(PUBLISHED["sd21"])) == heads(controlnet_on_meta(PUBLISHED["sd21"])) == [5, 10, 20, 20]
    assert heads(unet_on_meta(PUBLISHED["sdxl"])) == heads(controlnet_on_meta(PUBLISHED["sdxl"])) == [10, 20, 20]
    assert heads(unet_on_meta(REDUCED["sd21"])) == [1, 2, 2, 2]
    assert unet_config(REDUCED["one block"])["attention_head_dim"] == [1, 1, 1]


def test_upcasting_is_left_to_the_plain_attention() -> None:
    assert [unet_config(PUBLISHED[key])["upcast_attention"] for key in FAMILIES] == [False, True, False]
    attention: Any = unet_on_meta(REDUCED["sd21"]).mid_block
    attention = attention.attentions[0].transformer_blocks[0].attn1
    assert attention.upcast_attention and type(attention.processor).__name__ == "AttnProcessor2_0"


def test_the_sizes_of_sdxl_get_what_the_pooled_text_leaves() -> None:
    assert unet_config(PUBLISHED["sdxl"])["addition_time_embed_dim"] == 256
    assert controlnet_config(PUBLISHED["sdxl"], pooled_text=1280)["addition_time_embed_dim"] == 256
    assert unet_config(REDUCED["sdxl"], pooled_text=32)["addition_time_embed_dim"] == 3
    assert "addition_embed_type" not in unet_config(PUBLISHED["sd21"], pooled_text=32)
    for wrong in (None, 31, 50, 60, 0):
        with pytest.raises(ValueError, match=r"^the embedding beside the step takes 50 channels; expected [^\n]*$"):
            unet_config(REDUCED["sdxl"], pooled_text=wrong)


def test_a_network_that_is_not_supported_gets_no_configuration() -> None:
    with pytest.raises(ValueError, match=r"^this is, or is made for, an inpainting U-Net "):
        unet_config(PUBLISHED["sd15"].__class__(9, 4, (320,), 2, (1,), 1, 768, False, None))


def test_autoencoders_have_the_published_size_and_scale() -> None:
    assert count(vae_on_meta(VAE_PUBLISHED)) == 83_653_863
    assert vae_config(VAE_PUBLISHED, FAMILIES["sd21"])["scaling_factor"] == 0.18215
    network: AutoencoderKL = on_meta(AutoencoderKL, vae_config(VAE_REDUCED, FAMILIES["sdxl"]))
    assert (network.config["scaling_factor"], network.config["latent_channels"]) == (0.13025, 8)


PUBLISHED_TEXT = {"clip": {768: 123_060_480}, "open_clip": {1024: 340_387_840, 1280: 694_659_840}}


@pytest.mark.parametrize("encoder", [e for family in FAMILIES.values() for e in family.text_encoders], ids=lambda e: e.prefix)
def test_text_encoders_have_the_published_size(encoder: TextEncoder) -> None:
    projection = encoder.width if encoder.projection else None
    shapes = shapes_of(text_on_meta(encoder.width, encoder.used, projection, intermediate_size=encoder.feed_forward))
    config = text_config(encoder, shapes)
    network = on_meta(CLIPTextModelWithProjection if encoder.projection else CLIPTextModel, config)
    assert shapes_of(network) == shapes and count(network) == PUBLISHED_TEXT[encoder.kind][encoder.width]
    assert (config["vocab_size"], config["max_position_embeddings"]) == (49408, 77)
    assert config["num_attention_heads"] * 64 == encoder.width and config["projection_dim"] == encoder.width
    assert (config["hidden_act"] == "quick_gelu") == (encoder.kind == "clip")


def test_a_text_encoder_of_impossible_width_is_one_line() -> None:
    clip = FAMILIES["sd15"].text_encoders[0]
    assert text_config(clip, shapes_of(text_on_meta(32, 1)))["num_attention_heads"] == 1
    shapes = {**shapes_of(text_on_meta(64, 1)), "embeddings.token_embedding.weight": (40, 191)}
    with pytest.raises(ValueError, match=r"^the text encoder has 191 channels; expected a multiple of 64, or fewer$"):
        text_config(clip, shapes)
    with pytest.raises(ValueError, match=r"^tensor 'embeddings\.token_embedding\.weight' is missing among 0: "):
        text_config(clip, {})


@pytest.mark.parametrize("key", FAMILIES)
def test_the_noise_is_that_of_training(key: str) -> None:
    scheduler: Any = DDIMScheduler.from_config(scheduler_config(FAMILIES[key]))
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    torch.testing.assert_close(scheduler.alphas_cumprod, (1 - betas).cumprod(0))
    assert scheduler.final_alpha_cumprod == scheduler.alphas_cumprod[0]
    scheduler.set_timesteps(20)
    assert scheduler.timesteps.tolist()[-1] == 1
    assert scheduler.config["prediction_type"] == ("v_prediction" if key == "sd21" else "epsilon")


def test_the_prediction_type_can_be_told() -> None:
    assert scheduler_config(FAMILIES["sd21"], "epsilon")["prediction_type"] == "epsilon"
    with pytest.raises(ValueError, match=r"^prediction type is 'sample'; expected 'epsilon' or 'v_prediction'$"):
        scheduler_config(FAMILIES["sd15"], "sample")


def test_families_know_the_size_of_their_pictures() -> None:
    sizes = [(f.native_size(), f.native_size("epsilon"), f.native_size("v_prediction")) for f in FAMILIES.values()]
    assert sizes == [(512, 512, 512), (768, 512, 768), (1024, 1024, 1024)]
    assert [f.title for f in FAMILIES.values()] == ["SD 1.5", "SD 2.1", "SDXL"]
    assert all(f.text_width == sum(e.width for e in f.text_encoders) for f in FAMILIES.values())
