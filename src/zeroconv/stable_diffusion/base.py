"""The locked base: text, latents and U-Net of a Stable Diffusion of any family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from zeroconv.checkpoints import resolve
from zeroconv.checkpoints.architecture.families import Family
from zeroconv.checkpoints.architecture.unet_shape import UNetShape
from zeroconv.checkpoints.formats.textual_inversion import read_embedding
from zeroconv.checkpoints.hub.download import pinned_name
from zeroconv.errors import InputError
from zeroconv.stable_diffusion.eight_bits import quantize
from zeroconv.stable_diffusion.folder import open_folder
from zeroconv.stable_diffusion.lora import LoraReport, add_lora
from zeroconv.stable_diffusion.prompt_encoding import PromptEncoder, PromptEncoding, encode_prompts, encode_weighted_prompts
from zeroconv.stable_diffusion.single_file import open_single_file
from zeroconv.stable_diffusion.textual_inversion import EmbeddedWord, add_vectors, check_embedding, expand_words
from zeroconv.stable_diffusion.unet import AddedConditions
from zeroconv.stable_diffusion.vae import vae_dtype

__all__ = ["StableDiffusion"]


@dataclass
class StableDiffusion:
    """A base, locked: no parameter asks for a gradient.

    Attributes:
        unet: diffusers' `UNet2DConditionModel`.
        vae: diffusers' `AutoencoderKL`.
        text_encoder: transformers' `CLIPTextModel`.
        tokenizer: its tokenizer.
        scheduler_config: the scheduler's configuration: betas, number of steps, prediction type.
        name: what it was opened as.
        text_encoder_2: SDXL's second one, a `CLIPTextModelWithProjection`; None for the others.
        tokenizer_2: its tokenizer.
        force_zeros_for_empty_prompt: whether the empty prompt is encoded as zeros, as in SDXL's training.
        options: how it was opened and what LoRAs and embeddings were added, as plain values.
        embeddings: words of the prompt that stand for vectors (textual inversion).
        revision: how often LoRAs were merged into the weights since it was opened, by which whatever was computed from
            them can tell that it is out of date.
    """

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler_config: dict[str, Any]
    name: str = "base"
    text_encoder_2: Any = None
    tokenizer_2: Any = None
    force_zeros_for_empty_prompt: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    embeddings: list[EmbeddedWord] = field(default_factory=list[EmbeddedWord])
    revision: int = 0

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        dtype: torch.dtype | None = torch.float32,
        vae: str | Path | None = None,
        prediction_type: str | None = None,
        family: str | None = None,
        ema: bool = False,
    ) -> Self:
        """Open a base of SD 1.5, 2.1 or XL: "tiny", a folder in the diffusers layout, a file in the original, a hub id.

        Nothing but safetensors is opened, and only a hub id asks the network.

        Args:
            name_or_path: "tiny", a folder, a `.safetensors` file, "owner/name" or "owner/name@revision".
            dtype: type of the weights; None keeps them as stored and mapped: read from the disk when they are used.
            vae: another autoencoder, a folder or a file, taken instead of the base's own.
            prediction_type: "epsilon" or "v_prediction", if what the base says of itself is not to be believed.
            family: "sd15", "sd21" or "sdxl", if a file's shapes are not to be believed.
            ema: the averaged weights of the U-Net, of a file that holds both.

        Raises:
            FileNotFoundError: when there is no such name, folder or file.
            ValueError: when a part is missing, broken or does not fit the others.
        """
        check_dtype(dtype)
        place = resolve(name_or_path, "base")
        if place.is_file():
            parts = open_single_file(place, dtype, vae, prediction_type, family, ema)
        elif family is not None or ema:
            raise ValueError(f"{place} is a folder, which says its family and holds one copy; `family` and `ema` are for files")
        else:
            parts = open_folder(place, dtype, vae, prediction_type)
        other = str(vae) if vae is not None else None
        asked = {"vae": other, "prediction_type": prediction_type, "family": family, "ema": ema}
        options = {name: value for name, value in asked.items() if value}
        return cls(**vars(parts), name=pinned_name(name_or_path, place), options=options).lock()

    def add_lora(self, path: str | Path, weight: float = 1.0) -> LoraReport:
        """Merge a LoRA into the weights, for good, which raises `revision`, and note it in `options`; several add up.

        See `zeroconv.stable_diffusion.lora.add_lora`.

        Raises:
            InputError: when the weights are in 8 bits, which hold no sums.
        """
        if self.options.get("weights") is not None:
            message = f"the base's weights are in 8 bits, to which {path} cannot be added"
            raise InputError(message, field="base.loras", hint="add LoRAs first")
        report = add_lora(self, path, weight)
        self.options = {**self.options, "loras": [*self.options.get("loras", ()), [str(path), weight]]}
        return report

    def quantize(self, dtype: torch.dtype | None = None) -> Self:
        """Keep the weights of U-Net and text encoders in 8 bits, for good, and note it in `options`; see `eight_bits`.

        LoRAs are added before.

        Args:
            dtype: also change the type of what is not in 8 bits.
        """
        for network in self.networks:
            if network is not self.vae:
                quantize(network, dtype)
        self.to(self.device, dtype)
        self.options = {**self.options, "weights": "int8"}
        self.revision += 1
        return self

    def add_embedding(self, path: str | Path, word: str | None = None) -> None:
        """Teach it a textual-inversion embedding: `word` in a prompt, in any case, is read as the file's vectors.

        Args:
            path: a `.safetensors` file of Stable Diffusion web UI, diffusers or an SDXL trainer.
            word: the name of the file without its ending if left out.

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: when it is broken, no embedding, or one for another family, or the word is taken.
        """
        vectors, word = read_embedding(Path(path)), word or Path(path).stem
        if check_embedding(self, vectors, word, str(path)):
            add_vectors(self, vectors, word)
            self.options = {**self.options, "embeddings": [*self.options.get("embeddings", ()), [str(path), word]]}

    @property
    def networks(self) -> tuple[Any, ...]:
        """U-Net, autoencoder and one or two text encoders."""
        second = () if self.text_encoder_2 is None else (self.text_encoder_2,)
        return (self.unet, self.vae, self.text_encoder, *second)

    def lock(self) -> Self:
        """Evaluation mode, no gradients."""
        for network in self.networks:
            network.requires_grad_(False).eval()
        return self

    def to(self, device: torch.device | str | torch.dtype, dtype: torch.dtype | None = None) -> Self:
        """Move the networks, and change their type if one is given; SDXL's autoencoder stays in float32 for float16.

        Args:
            device: where they go, or a type in its place: then they stay where they are.
            dtype: of their weights.

        Raises:
            InputError: for a type that is none of torch's.
        """
        if isinstance(device, torch.dtype):
            device, dtype = self.device, device
        check_dtype(dtype)
        for network in self.networks:
            kind = vae_dtype(self.vae.config, dtype, self.is_xl) if dtype is not None and network is self.vae else dtype
            nn.Module.to(network, device, kind)
        return self

    @property
    def family(self) -> Family:
        """SD 1.5, SD 2.1 or SDXL, by the topology of its U-Net."""
        return UNetShape.of_config(self.unet.config).family

    @property
    def is_xl(self) -> bool:
        """Whether it is of the SDXL family: two text encoders, pooled text and sizes."""
        return self.text_encoder_2 is not None

    @property
    def device(self) -> torch.device:
        """Where the U-Net lives."""
        return self.unet.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the U-Net's weights."""
        return self.unet.dtype

    @property
    def prediction_type(self) -> str:
        """What the U-Net predicts: "epsilon" or "v_prediction"."""
        return self.scheduler_config.get("prediction_type", "epsilon")

    @property
    def vae_scale_factor(self) -> int:
        """Pixels per latent along one side: 8."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def size(self) -> int:
        """The side, in pixels, of the pictures the base was trained on."""
        return int(self.unet.config.sample_size) * self.vae_scale_factor

    def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
        """Channels, height and width of the latents of a picture.

        Raises:
            InputError: unless both sides are multiples of 8, the autoencoder's step.
        """
        if width < 1 or height < 1 or width % self.vae_scale_factor or height % self.vae_scale_factor:
            message = f"pictures of {width}x{height} are asked for; expected multiples of {self.vae_scale_factor}"
            raise InputError(message, field="size")
        return int(self.unet.config.in_channels), height // self.vae_scale_factor, width // self.vae_scale_factor

    @property
    def prompt_encoders(self) -> list[PromptEncoder]:
        """One, or two for SDXL."""
        first = PromptEncoder(self.tokenizer, self.text_encoder)
        return [first, PromptEncoder(self.tokenizer_2, self.text_encoder_2)] if self.is_xl else [first]

    def encode_text(self, prompts: Sequence[str], weighted: bool = False) -> PromptEncoding:
        """Encode prompts: the tokens' hidden states, padded to the window, and SDXL's pooled embeddings.

        Args:
            prompts: B prompts.
            weighted: whether `(word:1.3)`, `[word]` and `BREAK` mean something, and longer prompts get further windows; see
                `encode_weighted_prompts`. Otherwise every letter is meant, and a prompt that is longer than the window is cut,
                with a warning that names what was left out.
        """
        encode = encode_weighted_prompts if weighted else encode_prompts
        prompts = [expand_words(prompt, self.embeddings) for prompt in prompts]
        text = encode(prompts, self.prompt_encoders, self.force_zeros_for_empty_prompt)
        return text.map(lambda tensor: tensor.to(self.dtype))

    def added_conditions(self, text: PromptEncoding, width: int, height: int) -> AddedConditions | None:
        """SDXL's conditioning beside the text states, for its U-Net and ControlNets; None for the other families.

        The picture is described as made at its size and not cropped.

        Args:
            text: encoded prompts.
            width: of the pictures, in pixels.
            height: of the pictures, in pixels.
        """
        if text.pooled is None:
            return None
        sizes = torch.tensor([[height, width, 0, 0, height, width]], device=text.pooled.device, dtype=torch.float32)
        return AddedConditions(text.pooled, sizes.expand(len(text.pooled), -1))

    @torch.no_grad()
    def encode_images(self, images: Tensor, encode: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Scaled latents (B, C, H/8, W/8), the posterior's mean, of images (B, 3, H, W) in [-1, 1].

        Args:
            images: of the pictures.
            encode: the autoencoder's way from images to unscaled latents; its own if left out.
        """
        images = images.to(self.vae.device, self.vae.dtype)  # where the autoencoder is now
        latents = self.vae.encode(images).latent_dist.mean if encode is None else encode(images)
        return (latents * self.vae.config.scaling_factor).to(self.dtype)

    @torch.no_grad()
    def decode(self, latents: Tensor, decode: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] of scaled latents (B, C, H/8, W/8).

        Args:
            latents: of the pictures.
            decode: the autoencoder's way from unscaled latents to images, about -1 to 1; its own if left out.
        """
        z = latents.to(self.vae.dtype) / self.vae.config.scaling_factor
        images = self.vae.decode(z).sample if decode is None else decode(z)
        return (images.float() / 2 + 0.5).clamp(0, 1)


def check_dtype(dtype: object) -> None:
    """That it is a type of torch's, or none.

    Raises:
        InputError: for anything else, such as a name.
    """
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise InputError(f"dtype is {dtype!r}; expected one of torch's, such as torch.bfloat16", field="dtype")
