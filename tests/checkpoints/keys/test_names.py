"""Names of U-Nets, ControlNets and autoencoders: complete for every family, and diffusers' converters agree."""

from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import (
    convert_controlnet_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)

from tests.checkpoints.reduced import (
    PUBLISHED,
    REDUCED,
    VAE_PUBLISHED,
    VAE_REDUCED,
    assert_round_trip,
    controlnet_on_meta,
    equal,
    random_tensors,
    shapes_of,
    unet_on_meta,
    vae_on_meta,
)
from zeroconv.checkpoints.architecture.families import FAMILIES
from zeroconv.checkpoints.keys import (
    condition_encoder_shape,
    controlnet_table,
    unet_table,
    vae_shape,
    vae_table,
)


@pytest.mark.parametrize("family", FAMILIES)
def test_tables_hold_every_tensor_of_the_published_networks(family: str) -> None:
    unet_shape = PUBLISHED[family]
    unet, control = unet_table(unet_shape), controlnet_table(unet_shape)
    assert len(unet.entries) == {"sd15": 686, "sd21": 686, "sdxl": 1680}[family]
    assert len(control.entries) == {"sd15": 340, "sd21": 340, "sdxl": 844}[family]
    assert set(unet.ours) == shapes_of(unet_on_meta(unet_shape)).keys()
    assert set(control.ours) == shapes_of(controlnet_on_meta(unet_shape)).keys()
    assert not set(unet.theirs) & set(unet.ours) and not set(control.theirs) & set(control.ours)


@pytest.mark.parametrize("kind", REDUCED)
def test_diffusers_reads_what_the_unet_table_writes(kind: str) -> None:
    unet = unet_on_meta(REDUCED[kind])
    ours = random_tensors(unet)
    theirs = assert_round_trip(unet_table(REDUCED[kind]).add_prefix("model.diffusion_model."), ours)
    assert equal(convert_ldm_unet_checkpoint(dict(theirs), unet.config), ours)


@pytest.mark.parametrize("kind", REDUCED)
def test_diffusers_reads_what_the_controlnet_table_writes(kind: str) -> None:
    control = controlnet_on_meta(REDUCED[kind])
    ours = random_tensors(control)
    theirs = assert_round_trip(controlnet_table(REDUCED[kind]), ours)
    # It forgets SDXL's added embedding, which has the names that it has in a U-Net.
    forgotten = {name: tensor for name, tensor in ours.items() if name.startswith("add_embedding.")}
    assert len(forgotten) == (4 if kind == "sdxl" else 0)
    assert equal({**convert_controlnet_checkpoint(dict(theirs), control.config), **forgotten}, ours)
    for name, tensor in forgotten.items():
        there = name.replace("add_embedding.linear_1", "label_emb.0.0").replace("add_embedding.linear_2", "label_emb.0.2")
        assert torch.equal(theirs[there], tensor)


@pytest.mark.parametrize("shape", [VAE_PUBLISHED, VAE_REDUCED])
def test_diffusers_reads_what_the_autoencoder_table_writes(shape: Any) -> None:
    network, table = vae_on_meta(shape), vae_table(shape)
    assert set(table.ours) == shapes_of(network).keys()
    assert vae_shape(shapes_of(network)) == shape == vae_shape(shapes_of(table.to_theirs(network.state_dict())))
    if shape == VAE_PUBLISHED:
        assert len(table.entries) == 248
        return
    ours = random_tensors(network)
    theirs = assert_round_trip(table.add_prefix("first_stage_model."), ours)
    assert theirs["first_stage_model.encoder.mid.attn_1.q.weight"].shape == (96, 96, 1, 1)
    assert equal(convert_ldm_vae_checkpoint(dict(theirs), network.config), ours)


@pytest.mark.parametrize("prefix", ["encoder.down.{}.block.{}", "encoder.down_blocks.{}.resnets.{}"])
def test_autoencoders_beyond_all_measure_are_refused(prefix: str) -> None:
    some = {f"{prefix.format(level, 0)}.conv1.weight": (32, 32, 3, 3) for level in range(2000)}
    with pytest.raises(ValueError, match=r"^this is no autoencoder [^\n]*for 9 levels and 1 blocks; expected 1 to 8 of both$"):
        vae_shape(some)
    with pytest.raises(ValueError, match=r"^this is no autoencoder [^\n]*for 0 levels and 0 blocks"):
        vae_shape({})
    with pytest.raises(ValueError, match=r"^tensor 'decoder\.conv_in\.weight' is missing among 1: "):
        vae_shape(dict(list(some.items())[:1]))


def test_a_condition_encoder_shows_its_widths_in_both_layouts() -> None:
    network, table = controlnet_on_meta(REDUCED["sd15"]), controlnet_table(REDUCED["sd15"])
    theirs = shapes_of(table.to_theirs(network.state_dict()))
    assert condition_encoder_shape(theirs) == condition_encoder_shape(shapes_of(network)) == (3, (16, 32, 96, 256))
    with pytest.raises(ValueError, match=r"^tensor 'input_hint_block\.0\.weight' is missing among 0: "):
        condition_encoder_shape({})
