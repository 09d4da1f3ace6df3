"""From one file in the original layout to the parts of a base, with no folder beside it and no network."""

from pathlib import Path

import torch

from zeroconv.checkpoints.files.safetensors import read_header
from zeroconv.checkpoints.files.torch_pickle import PICKLE_ENDINGS
from zeroconv.checkpoints.files.wrappers import read_published
from zeroconv.checkpoints.formats.single_file import OriginalBase, read_original
from zeroconv.messages import Message, tell
from zeroconv.stable_diffusion.build import build_text_encoder, build_unet
from zeroconv.stable_diffusion.folder import Parts, check_parts
from zeroconv.stable_diffusion.tokenizer import END, clip_tokenizer
from zeroconv.stable_diffusion.vae import build_vae_part, open_vae

__all__ = ["build_parts", "open_single_file", "read_file"]

PADS = {"clip": END, "open_clip": "!"}
"""What fills the window of each kind of text encoder."""


def open_single_file(
    path: Path,
    dtype: torch.dtype | None = torch.float32,
    vae: str | Path | None = None,
    prediction_type: str | None = None,
    family: str | None = None,
    ema: bool = False,
) -> Parts:
    """The parts of a base in one file: U-Net, autoencoder, text encoders; tokenizers come with the package.

    Args:
        path: a `.safetensors` file in the original layout.
        dtype: type of the weights; None as stored and mapped.
        vae: another autoencoder, a file or folder, taken instead of the file's own.
        prediction_type: "epsilon" or "v_prediction", where the file is not to be believed.
        family: "sd15", "sd21" or "sdxl", where the shapes are not to be believed.
        ema: the averaged weights, where the file holds both.

    Raises:
        ValueError: one line, when it is something else, incomplete or broken.
    """
    found = read_file(path, prediction_type, family, ema)
    if found.prediction_source.startswith("a guess"):
        said = f"{path.name} does not say what it predicts; {found.scheduler['prediction_type']!r} is {found.prediction_source}"
        tell(Message(f"{said}: if the pictures are noise or burnt, state the other one", "file.guessed"))
    return build_parts(found, dtype, vae, str(path))


def read_file(path: Path, prediction_type: str | None = None, family: str | None = None, ema: bool = False) -> OriginalBase:
    """What the file holds, mapped; see `open_single_file`.

    Raises:
        ValueError: one line, when it is something else, incomplete or broken.
    """
    if path.suffix in PICKLE_ENDINGS:
        raise ValueError(
            f"{path} is a pickle, which only `zeroconv convert` opens: zeroconv convert {path} "
            f"{path.with_suffix('.safetensors').name} --to original"
        )
    return read_original(read_published(path), read_header(path).metadata, str(path), prediction_type, family, ema)


def build_parts(
    found: OriginalBase, dtype: torch.dtype | None = torch.float32, vae: str | Path | None = None, what: str = "the file"
) -> Parts:
    """Networks and tokenizers of what a file holds; see `open_single_file`.

    Raises:
        ValueError: when the parts do not fit each other.
    """
    key = found.family.key
    if vae is not None:
        autoencoder = open_vae(Path(vae), dtype, key)
    elif found.vae is not None:
        autoencoder = build_vae_part(found.vae, dtype, key)
    else:
        raise ValueError(f"{what} holds no autoencoder: give one, a file or a folder, as `vae`")
    is_xl = found.unet.config.get("addition_embed_type") == "text_time"
    encoders = [
        build_text_encoder(part.config, part.tensors, dtype, encoder.projection)
        for part, encoder in zip(found.text_encoders, found.family.text_encoders, strict=True)
    ]
    tokenizers = [clip_tokenizer(PADS[encoder.kind]) for encoder in found.family.text_encoders]
    parts = Parts(
        build_unet(found.unet.config, found.unet.tensors, dtype),
        autoencoder,
        encoders[0],
        tokenizers[0],
        found.scheduler,
        encoders[1] if is_xl else None,
        tokenizers[1] if is_xl else None,
        force_zeros_for_empty_prompt=is_xl,
    )
    check_parts(parts)
    return parts
