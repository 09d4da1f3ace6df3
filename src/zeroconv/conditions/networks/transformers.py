"""Networks of the transformers library, opened from settings that were looked at and tensors that were compared."""

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from zeroconv.checkpoints import read_json, read_weights
from zeroconv.conditions.networks.weights import CONFIG, RECIPE, WEIGHTS, find_weights

__all__ = ["Network", "Recipe", "fill", "normalize", "open_network", "prepare", "quiet", "to_input"]

LONGEST = 4  # times the shorter side: more extreme pictures are made smaller, for memory
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
PLAIN = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC


@dataclass(frozen=True)
class Recipe:
    """How a picture becomes the network's input.

    Attributes:
        side: the shorter side in pixels; of upright frames, the height.
        multiple: both sides are multiples of this.
        mean: subtracted from each channel in [0, 1].
        std: what each channel is then divided by.
        resample: Pillow's filter.
        square: whether the picture is pressed into side x side.
    """

    side: int
    multiple: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resample: Image.Resampling = BILINEAR
    square: bool = False

    @property
    def frame(self) -> tuple[int, int]:
        """Width and height of the upright input, 3 : 4, of networks that see people."""
        return self.side * 3 // 4, self.side

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the input for a picture: its shape is kept unless it is longer than 4 : 1."""
        if self.square:
            return self.side, self.side
        scale = min(self.side / min(width, height), LONGEST * self.side / max(width, height))
        sides = (max(1, round(scale * length / self.multiple)) * self.multiple for length in (width, height))
        return next(sides), next(sides)


# What the published networks expect when their folder has no preprocessor_config.json.
RECIPES = {
    "depth_anything": Recipe(518, 14, *IMAGENET, BICUBIC),
    "dpt": Recipe(384, 32, *HALF, BICUBIC, square=True),  # the library's DPT takes no other shape
    "segformer": Recipe(512, 32, *IMAGENET),
    "mask2former": Recipe(512, 32, *IMAGENET),
    "oneformer": Recipe(512, 32, *IMAGENET),
    "vitpose": Recipe(256, 1, *IMAGENET),  # frames of 192 x 256
    "rt_detr": Recipe(640, 32, *PLAIN, square=True),
    "sapiens2": Recipe(1024, 16, *IMAGENET),  # frames of 768 x 1024
}
CLASSES = {
    "depth-anything": "DepthAnythingForDepthEstimation",
    "dpt": "DPTForDepthEstimation",
    "segformer": "SegformerForSemanticSegmentation",
    "mask2former": "Mask2FormerForUniversalSegmentation",
    "oneformer": "OneFormerForUniversalSegmentation",
    "vitpose": "VitPoseForPoseEstimation",
    "person-detector": "RTDetrForObjectDetection",
    "sapiens2-normal": "Sapiens2ForNormalEstimation",
    "sapiens2-pose": "Sapiens2ForPoseEstimation",
}
"""The library's class for each key of `WEIGHTS` whose network it opens."""


@dataclass(frozen=True, eq=False)
class Network:
    """An opened network, ready to predict.

    Attributes:
        model: of the transformers library.
        recipe: for its input.
        folder: where it came from.
    """

    model: Any
    recipe: Recipe
    folder: Path


def open_network(method: str, weights: str | Path | None = None, device: str = "cpu") -> Network:
    """The network of a method, opened at the first call and kept.

    Args:
        method: a key of `CLASSES`.
        weights: a folder or hub id instead of the published one.
        device: such as "cpu" or "cuda".

    Raises:
        FileNotFoundError: when the weights are not here and cannot be fetched.
        ValueError: when they are of another kind of network, or do not fit their `config.json`.
    """
    return _open(method, find_weights(method, weights).resolve(), device)


@lru_cache(maxsize=4)
def _open(method: str, folder: Path, device: str) -> Network:
    family = WEIGHTS[method].family
    config = read_json(folder / CONFIG)
    if config.get("model_type") != family:
        raise ValueError(f"{folder} has a network of type {config.get('model_type')!r}; {method} needs {family!r}")
    kinds = config.get("architectures")  # of one type there are networks for several tasks
    if isinstance(kinds, list) and kinds and CLASSES[method] not in kinds:
        raise ValueError(f"{folder} has a {kinds!r:.80}; {method} needs a {CLASSES[method]}")
    with quiet():
        model = fill(find_network_class(CLASSES[method]), config, read_weights(folder, "model"), folder)
    settings = folder / RECIPE
    recipe = RECIPES[family]
    return Network(prepare(model, device), read_recipe(settings, recipe) if settings.is_file() else recipe, folder)


def prepare(model: Any, device: str) -> Any:
    """A network that predicts on a device.

    Raises:
        ValueError: when there is no such device.
    """
    try:
        return model.eval().requires_grad_(False).to(device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} cannot be used: {str(error).partition(chr(10))[0]}") from error


def fill(kind: Any, config: Mapping[str, Any], tensors: dict[str, Tensor], folder: Path) -> Any:
    """Build a network and fill it; the library itself translates older names of tensors."""
    asked = {key: value for key, value in config.items() if key != "use_pretrained_backbone"}  # that would ask the hub
    try:
        settings = kind.config_class.from_dict(asked)
        model, report = kind.from_pretrained(
            None, config=settings, state_dict=tensors, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # the library raises many kinds for settings that make no network
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"the weights in {folder} do not fit their {CONFIG}: {reason}") from error
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("criterion."))
    if missing:
        raise ValueError(f"the weights in {folder} are not complete: {missing[0]!r} is missing ({len(missing)} in all)")
    return model


def find_network_class(name: str) -> Any:
    """A network's class; those that bring a training loss along are built without it, as it needs another package."""
    import transformers

    kind: Any = getattr(transformers, name)
    if name not in ("Mask2FormerForUniversalSegmentation", "OneFormerForUniversalSegmentation"):
        return kind

    def build(self: Any, config: Any) -> None:
        super(kind, self).__init__(config)
        self.model = getattr(transformers, name.replace("ForUniversalSegmentation", "Model"))(config)
        if name.startswith("Mask2Former"):
            self.class_predictor = nn.Linear(config.hidden_dim, config.num_labels + 1)
        self.post_init()

    return type(name, (kind,), {"__init__": build})


def read_recipe(path: Path, recipe: Recipe) -> Recipe:
    """The recipe that lies beside published weights.

    Raises:
        ValueError: when a number in it makes no sense.
    """
    asked = read_json(path)
    size: Any = asked.get("size", recipe.side)
    side: Any = size.get("shortest_edge", size.get("height")) if isinstance(size, Mapping) else size
    mean, std = asked.get("image_mean") or recipe.mean, asked.get("image_std") or recipe.std
    if asked.get("do_normalize") is False:
        mean, std = PLAIN
    try:
        made = replace(
            recipe,
            side=int(side),
            mean=tuple(float(value) for value in mean),
            std=tuple(float(value) for value in std),
            resample=Image.Resampling(asked.get("resample", recipe.resample)),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be used: {error}") from error
    numbers = (*made.mean, *made.std)
    if not 1 <= made.side <= 4096 or len(numbers) != 6 or not all(map(math.isfinite, numbers)) or min(made.std) <= 0:
        raise ValueError(f"{path} has size {side}, mean {mean} and std {std}; expected up to 4096, and three numbers each")
    return made


def to_input(image: Image.Image, network: Network) -> Tensor:
    """A picture as the network's input: (1, 3, h, w) on its device."""
    recipe = network.recipe
    small = image.convert("RGB").resize(recipe.size(*image.size), recipe.resample)
    return normalize(np.asarray(small), recipe)[None].to(network.model.device)


def normalize(rgb: np.ndarray, recipe: Recipe) -> Tensor:
    """Pixels (h, w, 3) in 0 … 255 as (3, h, w) float32 with the recipe's mean and deviation."""
    values = (rgb.astype(np.float32) / 255 - np.array(recipe.mean, np.float32)) / np.array(recipe.std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1), np.float32))


@contextmanager
def quiet() -> Generator[None]:
    """No progress bars and no reports of the library: what matters is raised."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
