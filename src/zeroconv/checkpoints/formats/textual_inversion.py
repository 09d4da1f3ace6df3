"""Textual-inversion embeddings: vectors that stand for a word of the prompt, as trainers and panels write them."""

from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor

from zeroconv.checkpoints.files.safetensors import read_safetensors
from zeroconv.checkpoints.files.torch_pickle import PICKLE_ENDINGS
from zeroconv.checkpoints.formats.identify import identify
from zeroconv.checkpoints.keys.lora import BUNDLED, Part
from zeroconv.errors import InputError

__all__ = ["Vectors", "bundled_embeddings", "bundled_words", "embedding_names", "misshapen", "read_embedding"]

Vectors = dict[Part, Tensor]
"""For each text encoder, (n, D): the word is read as n tokens."""

PLAIN = ("emb_params", "string_to_param.*")
"""What the tensor for a single text encoder is called by web UI, and in its older pickles."""
SDXL: dict[str, Part] = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
MAX_VECTORS = 75
"""As many as a prompt's window holds."""
WIDTHS = (768, 1024, 1280)


def embedding_names(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Part] | None:
    """Which tensors of a file are vectors, and of which text encoder; None when it is no embedding.

    | names | who writes it |
    |---|---|
    | `emb_params`, or `string_to_param.*` from a pickle | Stable Diffusion web UI |
    | `clip_l` and `clip_g` | trainers for SDXL |
    | the word itself, alone in the file: `<cat-toy>` | diffusers (`learned_embeds.safetensors`) |
    """
    for name in PLAIN:
        if name in shapes:
            return {name: "text_encoder"}
    if SDXL.keys() <= shapes.keys():
        return SDXL
    if len(shapes) == 1:
        name, shape = next(iter(shapes.items()))
        if shape and shape[-1] in WIDTHS and len(shape) <= 2 and "." not in name:
            return {name: "text_encoder"}
    return None


def read_embedding(path: Path) -> Vectors:
    """The vectors of a `.safetensors` file.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is broken, a pickle, or no embedding.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no embedding at {path}: expected a .safetensors file")
    if path.suffix in PICKLE_ENDINGS:
        raise ValueError(
            f"{path} is a pickle, which only `zeroconv convert` opens: zeroconv convert {path} "
            f"{path.with_suffix('.safetensors').name} --to safetensors"
        )
    tensors = read_safetensors(path)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    names = embedding_names(shapes)
    if names is None:
        raise ValueError(f"{path} holds no textual-inversion embedding; {identify(shapes)}")
    return {part: check_vectors(tensors[name], f"{path}: {name!r}") for name, part in names.items()}


def bundled_embeddings(tensors: Mapping[str, Tensor], what: str) -> dict[str, Vectors]:
    """The embeddings that some trainers put into a LoRA's file, by their words.

    Raises:
        ValueError: when one has a shape that no embedding has.
    """
    found: dict[str, Vectors] = {}
    parts: dict[str, Part] = {**SDXL, "string_to_param.*": "text_encoder"}
    for name, tensor in tensors.items():
        word, _, kind = name.removeprefix(BUNDLED).partition(".")
        if name.startswith(BUNDLED) and word and (part := parts.get(kind)):
            found.setdefault(word, {})[part] = check_vectors(tensor, f"{what}: {name!r}")
    return found


def bundled_words(names: Collection[str]) -> tuple[str, ...]:
    """The words of the embeddings that are bundled with a LoRA."""
    return tuple(sorted({name.removeprefix(BUNDLED).partition(".")[0] for name in names if name.startswith(BUNDLED)}))


def misshapen(shape: tuple[int, ...]) -> str | None:
    """Why a tensor of this shape holds no vectors: the end of a sentence; None when it may."""
    if len(shape) in (1, 2) and all(shape) and (len(shape) == 1 or shape[0] <= MAX_VECTORS):
        return None
    return f"has shape {shape}; expected 1 to {MAX_VECTORS} vectors of a text encoder's width"


def check_vectors(tensor: Tensor, what: str) -> Tensor:
    """Vectors as (n, D), in float32.

    Raises:
        InputError: when they are of another shape, too many, or not finite.
    """
    vectors = tensor[None] if tensor.ndim == 1 else tensor
    if (wrong := misshapen(tuple(tensor.shape))) or not vectors.is_floating_point():
        raise InputError(f"{what} {wrong or 'holds whole numbers; expected vectors'}")
    vectors = vectors.detach().float()  # 8-bit types know no arithmetic
    if not bool(vectors.isfinite().all()):
        raise InputError(f"{what} has numbers that are not finite: the file is broken")
    return vectors.clone()
