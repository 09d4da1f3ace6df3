"""CLIP's features of pictures and texts, and the linear heads that LAION trained on them.

A. Radford et al., "Learning transferable visual models from natural language supervision", 2021,
https://arxiv.org/abs/2103.00020. Any CLIP in the layout of transformers is opened: OpenAI's, OpenCLIP's as converted, and
the tiny world's own, `tiny-clip`, which is embedded and knows nothing but the tiny world.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zeroconv.checkpoints import read_json, read_safetensors, read_weights
from zeroconv.checkpoints.files.shards import weight_files
from zeroconv.checkpoints.hub.resolve import assets
from zeroconv.conditions.networks.transformers import BICUBIC, RECIPE, Recipe, fill, normalize, prepare, quiet, read_recipe
from zeroconv.errors import InputError
from zeroconv.evaluation.features.extractor import Rows, require_pictures
from zeroconv.evaluation.features.resizing import clip_crop
from zeroconv.evaluation.features.weights import find_file, find_folder, hash_all

__all__ = ["TINY_CLIP", "AestheticHead", "ClipExtractor", "open_aesthetic_head", "open_clip"]

TINY_CLIP = "tiny-clip"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of OpenAI's training pictures
VOCABULARY = 49_408  # tokens of OpenAI's tokenizer, which comes with the package
AT_ONCE = 32  # pictures or texts


@dataclass(frozen=True, eq=False)
class ClipExtractor:
    """CLIP's image and text embeddings, projected, not normalised; see `ImageTextExtractor`.

    Attributes:
        model: a `CLIPModel` of transformers.
        recipe: side, mean and deviation of its input.
        tokenizer: of its texts.
        weights: as they were called.
        sha256: of their files.
    """

    model: Any
    recipe: Recipe
    tokenizer: Any
    weights: str
    sha256: str

    @property
    def name(self) -> str:
        """Of the features: size, patch and side tell OpenAI's networks apart; what they were trained on tells the hash."""
        vision = self.model.config.vision_config
        return f"clip-{vision.hidden_size}x{vision.num_hidden_layers}-patch{vision.patch_size}-{vision.image_size}"

    @property
    def dimension(self) -> int:
        """Of the space that pictures and texts share."""
        return int(self.model.config.projection_dim)

    @property
    def resizer(self) -> str:
        """Shorter side by Pillow with this filter, then the centred square."""
        return f"clip-{self.recipe.resample.name.lower()}-{self.recipe.side}"

    @torch.inference_mode()
    def extract(self, images: Sequence[Image.Image]) -> Rows:
        """Image embeddings of pictures of any sizes: (N, D) float32.

        Raises:
            InputError: when there are no pictures.
        """
        require_pictures(images)

        def embed(group: Sequence[Image.Image]) -> Tensor:
            squares = (clip_crop(image, self.recipe.side, self.recipe.resample) for image in group)
            pixels = torch.stack([normalize(np.asarray(square), self.recipe) for square in squares])
            pooled = self.model.vision_model(pixel_values=pixels.to(self.model.device)).pooler_output
            return self.model.visual_projection(pooled)

        return in_groups(images, embed)

    @torch.inference_mode()
    def extract_texts(self, texts: Sequence[str]) -> Rows:
        """Text embeddings: (N, D) float32. What does not fit the window (77 tokens of OpenAI's) is not seen.

        Raises:
            InputError: when there are no texts.
        """
        require_pictures(texts, "texts")
        window = int(self.model.config.text_config.max_position_embeddings)

        def embed(group: Sequence[str]) -> Tensor:
            asked = self.tokenizer(
                list(group), padding="max_length", truncation=True, max_length=window, return_tensors="pt"
            ).to(self.model.device)
            return self.model.text_projection(self.model.text_model(**asked).pooler_output)

        return in_groups(texts, embed)


def in_groups(items: Sequence[Any], embed: Any) -> Rows:
    """What `embed` answers to groups of items, one below the other, as float32 on the CPU."""
    groups = (items[first : first + AT_ONCE] for first in range(0, len(items), AT_ONCE))
    return torch.cat([embed(group).float().cpu() for group in groups]).numpy()


def open_clip(weights: str | Path = TINY_CLIP, device: str = "cpu") -> ClipExtractor:
    """A CLIP from a folder of transformers, from the hub, or the embedded one.

    Args:
        weights: "tiny-clip", a folder with `config.json` and safetensors weights, or "owner/name[@revision]", such as
            "openai/clip-vit-large-patch14" (aesthetic score, CMMD at 224) or "openai/clip-vit-base-patch16" (CLIP score).
        device: such as "cpu" or "cuda".

    Raises:
        FileNotFoundError: when the weights are not here and cannot be fetched.
        ValueError: when they are another network's, do not fit their `config.json`, or there is no such device.
    """
    from zeroconv.checkpoints.hub.download import pinned_name

    folder = find_folder(assets() / TINY_CLIP if str(weights) == TINY_CLIP else weights, "CLIP")
    config = read_json(folder / "config.json")
    if config.get("model_type") != "clip":
        kind = config.get("model_type")
        raise InputError(f"{weights} has a network of type {kind!r}; expected 'clip', pictures and texts", field="weights")
    import transformers

    tensors = {name: tensor.float() for name, tensor in read_weights(folder, "model").items()}
    with quiet():
        model = prepare(fill(transformers.CLIPModel, config, tensors, folder), device)
    recipe, settings = Recipe(int(model.config.vision_config.image_size), 1, MEAN, STD, BICUBIC), folder / RECIPE
    recipe = read_recipe(settings, recipe) if settings.is_file() else recipe
    tokenizer = find_tokenizer(folder, int(model.config.text_config.vocab_size))
    return ClipExtractor(model, recipe, tokenizer, pinned_name(weights, folder), hash_all(weight_files(folder, "model")))


def find_tokenizer(folder: Path, vocabulary: int) -> Any:
    """The tokenizer beside the weights, or OpenAI's where there is none and the numbers fit.

    Raises:
        FileNotFoundError: when there is none and they do not.
    """
    if (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file():
        from zeroconv.stable_diffusion.folder import open_tokenizer

        return open_tokenizer(folder)
    if vocabulary != VOCABULARY:
        raise FileNotFoundError(f"{folder} has no tokenizer.json, and its {vocabulary} tokens are not OpenAI's {VOCABULARY}")
    from zeroconv.stable_diffusion.tokenizer import clip_tokenizer

    return clip_tokenizer()


@dataclass(frozen=True, eq=False)
class AestheticHead:
    """A linear head, `score = wᵀE + b`, on embeddings of length 1: see `metrics.image_text.aesthetic_scores`.

    Attributes:
        weight: (D,) float32.
        bias: b.
        weights: the file, as it was called.
        sha256: of the file.
    """

    weight: np.ndarray
    bias: float
    weights: str
    sha256: str


def open_aesthetic_head(weights: str | Path) -> AestheticHead:
    """A head in the layout of LAION's `sa_0_4_vit_l_14_linear.pth`, whose CLIP is ViT-L/14.

    Args:
        weights: a .safetensors file with `weight` (1, D) and `bias` (1,), or "owner/name[@revision]" with one; of LAION's
            file, `zeroconv convert sa_0_4_vit_l_14_linear.pth head.safetensors --to safetensors` makes it.

    Raises:
        FileNotFoundError: when there is none.
        InputError: for a pickle, or a file that holds something else.
    """
    from zeroconv.checkpoints.hub.download import pinned_name

    path = find_file(weights, "aesthetic head")
    tensors = read_safetensors(path)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    weight = shapes.get("weight", ())
    if shapes.keys() != {"weight", "bias"} or len(weight) != 2 or weight[0] != 1 or shapes["bias"] != (1,):
        said = f"{path} holds {dict(list(shapes.items())[:3])}; expected weight (1, D) and bias (1,) of a linear head"
        raise InputError(said, field="weights")
    row, bias = tensors["weight"][0].float().numpy(), float(tensors["bias"][0])
    return AestheticHead(row, bias, pinned_name(weights, path), hash_all([path]))
