"""Surface normals by published networks: Sapiens2 for people, Marigold for any picture.

Both answer with x to the right, y up and z towards the camera. Of Marigold that is written in diffusers
(`MarigoldImageProcessor.visualize_normals`). Sapiens2's authors say no more than "camera frame"; two projects compared
its answers with known surfaces in all eight choices of signs and found these, as of Sapiens 1.
"""

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from zeroconv.checkpoints import check_fit, read_json, read_weights
from zeroconv.checkpoints.keys.legacy import autoencoder_names
from zeroconv.conditions.networks.transformers import fill, normalize, open_network, prepare, quiet
from zeroconv.conditions.networks.weights import CONFIG, PIPELINE, find_weights

__all__ = ["learned_normals", "to_camera_frame"]

SEED = 0  # of Marigold's noise: the same picture gives the same map
STEPS, LONGEST = 4, 768  # of Marigold, when its settings do not say: denoising steps, and pixels of the longer side
MOST = 4096  # of either


@torch.inference_mode()
def learned_normals(
    image: Image.Image, method: str = "marigold", weights: str | Path | None = None, device: str = "cpu"
) -> np.ndarray:
    """The normals of a picture, (H, W, 3) float32 unit vectors in the camera's frame: x right, y up, z away from it.

    Args:
        image: any picture.
        method: "marigold" or "sapiens2".
        weights: a folder or hub id instead of the published one.
        device: where the network runs.

    Raises:
        FileNotFoundError: when the weights are not here and cannot be fetched.
        ValueError: when they are not of this method.
    """
    find = marigold_normals if method == "marigold" else sapiens_normals
    return to_camera_frame(find(image.convert("RGB"), weights, device), (image.height, image.width))


def to_camera_frame(vectors: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Vectors (1, 3, h, w) with z towards the camera at a size (H, W), as (H, W, 3) unit vectors with z away from it."""
    enlarged = F.interpolate(vectors.float().cpu(), size=size, mode="bilinear", align_corners=False)[0]
    return (F.normalize(enlarged, dim=0).permute(1, 2, 0) * torch.tensor([1.0, 1.0, -1.0])).numpy()


def sapiens_normals(image: Image.Image, weights: str | Path | None, device: str) -> Tensor:
    """Sapiens2's answer, (1, 3, h, w): the picture lies in the middle of an upright black frame."""
    network = open_network("sapiens2-normal", weights, device)
    frame = Image.new("RGB", network.recipe.frame)
    left, top, width, height = fit_into(frame.size, image.size)
    frame.paste(image.resize((width, height), network.recipe.resample), (left, top))
    found = network.model(normalize(np.asarray(frame), network.recipe)[None].to(network.model.device)).normals
    if found.shape[1] != 3:
        raise ValueError(f"the weights in {network.folder} answer {found.shape[1]} numbers for a normal; expected 3")
    return F.normalize(found, dim=1)[..., top : top + height, left : left + width]


def fit_into(frame: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where a picture lies in a frame, each (width, height), as large as it fits: left, top, width and height."""
    scale = min(frame[0] / size[0], frame[1] / size[1])
    width, height = (max(1, int(scale * side)) for side in size)
    return (frame[0] - width) // 2, (frame[1] - height) // 2, width, height


def marigold_normals(image: Image.Image, weights: str | Path | None, device: str) -> Tensor:
    """Marigold's answer, (1, 3, h, w): a diffusion of four steps from noise, given the picture (B. Ke et al., 2025)."""
    pipeline = open_marigold(find_weights("marigold", weights).resolve(), device)
    least = math.ceil(max(image.size) / pipeline.default_processing_resolution)  # it would see a thinner strip at 0 pixels
    image = image.resize((max(least, image.width), max(least, image.height)))
    noise = torch.Generator().manual_seed(SEED)
    return pipeline(image, generator=noise, match_input_resolution=False, output_type="pt").prediction


@lru_cache(maxsize=1)
def open_marigold(folder: Path, device: str) -> Any:
    """The pipeline of diffusers from a folder in its layout, built from settings and tensors that were looked at.

    Raises:
        FileNotFoundError: when a part is missing.
        ValueError: when it is another pipeline, or its settings and tensors do not fit each other.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.pipelines.marigold.pipeline_marigold_normals import MarigoldNormalsPipeline
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from transformers import CLIPTextModel

    settings, words = read_json(folder / PIPELINE), folder / "text_encoder"
    if settings.get("_class_name") != "MarigoldNormalsPipeline":
        raise ValueError(f"{folder} has a {settings.get('_class_name')!r:.80}; marigold needs a 'MarigoldNormalsPipeline'")
    steps, longest = settings.get("default_denoising_steps", STEPS), settings.get("default_processing_resolution", LONGEST)
    if not all(isinstance(number, int) and 1 <= number <= MOST for number in (steps, longest)):
        raise ValueError(f"{folder / PIPELINE} asks for {steps!r:.20} steps at {longest!r:.20} pixels; expected 1 … {MOST}")
    with quiet():
        encoder = prepare(fill(CLIPTextModel, read_json(words / CONFIG), read_weights(words, "model"), words), device)
        pipeline: Any = MarigoldNormalsPipeline(
            read_network(folder / "unet", UNet2DConditionModel, device),
            read_network(folder / "vae", AutoencoderKL, device),
            build_from_settings(DDIMScheduler, folder / "scheduler" / "scheduler_config.json"),
            text_encoder=None,  # pyright: ignore[reportArgumentType]
            tokenizer=None,  # pyright: ignore[reportArgumentType]
            prediction_type="normals",
            use_full_z_range=settings.get("use_full_z_range", True) is True,
            default_denoising_steps=steps,
            default_processing_resolution=longest,
        )
    # an empty prompt: CLIP's marks of a beginning and an end, which are the last of its vocabulary
    last = encoder.config.vocab_size
    pipeline.empty_text_embedding = encoder(torch.tensor([[last - 2, last - 1]], device=encoder.device))[0]
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def read_network(folder: Path, kind: Any, device: str) -> Any:
    """A network of diffusers from its folder, made without memory and filled with the tensors."""
    with torch.device("meta"):
        network = build_from_settings(kind, folder / CONFIG)
    tensors = autoencoder_names(read_weights(folder))
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    check_fit(tensors, shapes, f"the weights in {folder} do not fit their {CONFIG}")
    network.load_state_dict(tensors, assign=True)
    return prepare(network.float(), device)


def build_from_settings(kind: Any, path: Path) -> Any:
    """What a class of diffusers makes of a file with settings."""
    settings = read_json(path)
    try:
        return kind.from_config(settings)
    except Exception as error:  # the library raises many kinds for settings that make nothing
        raise ValueError(f"{path} makes no {kind.__name__}: {' '.join(str(error).split())[:200]}") from error
