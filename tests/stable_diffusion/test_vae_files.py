"""Autoencoders in files of their own: every door and `info` agree about those without convolutions around their latents."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from tests.shelf import DOORS, Shelf, refused, refused_by_command
from tests.tiny import randomized
from zeroconv.checkpoints import read_safetensors, write_model_folder, write_safetensors
from zeroconv.checkpoints.architecture.families import FAMILIES
from zeroconv.checkpoints.formats.configs import vae_config
from zeroconv.checkpoints.formats.single_file import shapes_of
from zeroconv.checkpoints.keys.vae import VaeShape, vae_shape, vae_table
from zeroconv.cli import main
from zeroconv.stable_diffusion.vae import open_vae


def autoencoder(latents: int, quantised: bool) -> dict[str, torch.Tensor]:
    """One at reduced size, in diffusers' names."""
    return dict(randomized(AutoencoderKL(**settings(latents, quantised)), 1).state_dict())


def settings(latents: int, quantised: bool) -> dict[str, Any]:
    """Its configuration."""
    return vae_config(VaeShape((32, 64), 1, latents, quantised), FAMILIES["sd15"])


@pytest.mark.parametrize("original", [False, True])
def test_the_autoencoder_of_flux_is_named_at_every_door(
    original: bool, shelf: Shelf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, path, answer = (
        autoencoder(16, False),
        tmp_path / "ae.safetensors",
        "it is the autoencoder of FLUX.1 or Stable Diffusion 3",
    )
    write_safetensors(path, vae_table(vae_shape(shapes_of(ours))).to_theirs(ours) if original else ours)
    refused_by_command(capsys, ["info", path], answer, "16 latent channels and no 'quant_conv'")
    refused_by_command(capsys, ["convert", path, tmp_path / "x.safetensors", "--to", "original"], answer)
    refused(lambda: DOORS["vae"](shelf, path), answer)
    write_model_folder(tmp_path / "folder", settings(16, False), ours, "diffusion_pytorch_model.safetensors")
    refused(lambda: DOORS["vae"](shelf, tmp_path / "folder"), answer)
    refused_by_command(capsys, ["info", tmp_path / "folder"], answer)


@pytest.mark.parametrize("original", [False, True])
def test_an_autoencoder_without_convolutions_around_its_latents_opens(original: bool, shelf: Shelf, tmp_path: Path) -> None:
    ours, path, picture = autoencoder(4, False), tmp_path / "vae.safetensors", torch.rand(1, 3, 16, 16)
    write_safetensors(path, vae_table(vae_shape(shapes_of(ours))).to_theirs(ours) if original else ours)
    assert main(["info", str(path)]) == 0
    opened = open_vae(path, torch.float32)
    expected: Any = AutoencoderKL(**settings(4, False)).eval()
    expected.load_state_dict(ours)
    with torch.no_grad():
        assert torch.equal(opened.encode(picture).latent_dist.mean, expected.encode(picture).latent_dist.mean)
    assert main(["convert", str(path), str(tmp_path / "again.safetensors"), "--to", "original"]) == 0
    assert read_safetensors(tmp_path / "again.safetensors").keys() == set(vae_table(vae_shape(shapes_of(ours))).theirs)
    half = {name: tensor for name, tensor in read_safetensors(path).items()} | {"quant_conv.bias": torch.zeros(8)}
    write_safetensors(path, half)
    assert main(["info", str(path)]) == 1
    refused(lambda: DOORS["vae"](shelf, path), "quant_conv")
