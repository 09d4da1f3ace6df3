"""A request becomes pictures: text, controls, guidance and sampling together (section 3.4)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor

from zeroconv.control import ActiveControl, ControlledUNet, layer_weights
from zeroconv.control.weighting import check_weighting, condition_side_only
from zeroconv.diffusion import build_scheduler, guide, initial_noise, sample_latents
from zeroconv.generation.control import Control
from zeroconv.images import to_image, to_tensor
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["ControlPipeline", "Output"]


@dataclass(frozen=True)
class Output:
    """The pictures of one call.

    Attributes:
        images: RGB pictures.
        settings: for each picture what makes it again: prompt, seed, sampler, scales, names.
        latents: scaled latents before decoding, (B, C, h, w).
    """

    images: list[Image.Image]
    settings: list[dict[str, Any]]
    latents: Tensor = field(repr=False)


@dataclass(frozen=True)
class Steps:
    """How the denoiser is driven, the same for all pictures of a call."""

    count: int
    guidance_scale: float
    weighting: str
    sampler: str

    def __post_init__(self) -> None:
        """Check what nothing further on would refuse."""
        check_weighting(self.weighting)
        if not math.isfinite(self.guidance_scale):
            raise ValueError(f"guidance_scale is {self.guidance_scale}; expected a finite number, usually 1 to 15")


@dataclass(frozen=True)
class Prepared:
    """One control, ready for the denoiser: features of each picture in the batch, one weight per connection."""

    control: Control
    features: Tensor
    weights: list[float]
    mask: Tensor | None

    def active(self, pictures: int, guided: bool, weighting: str) -> ActiveControl:
        """As it acts on a batch: unconditional rows first when there is guidance, and on them only if it may.

        Networks that give means over the picture (ControlNet 1.1 "shuffle") act on the conditional rows alone.
        """
        both_sides = not (condition_side_only(weighting) or self.control.network.config.global_pool_conditions)
        features = torch.cat([self.features] * 2) if guided and both_sides else self.features
        rows = slice(pictures, None) if guided and not both_sides else None
        return ActiveControl(self.control.network, features, self.weights, self.mask, rows)


class ControlPipeline:
    """`ControlPipeline(base)("a red house", controls=[Control(canny, edges)])` makes pictures.

    Picture i has seed `seed + i` and is the same alone or among others: noise is drawn on the CPU for each seed,
    and with `batch_size=1` (the default) each picture is computed by itself.

    Args:
        base: the locked base.
    """

    def __init__(self, base: StableDiffusion) -> None:
        self.base = base
        self.unet = ControlledUNet(base.unet)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move the base; the ControlNets of a call are moved when they are used."""
        self.base.to(device, dtype)
        return self

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        controls: Sequence[Control] = (),
        weighting: str = "uniform",
        num_inference_steps: int = 20,
        guidance_scale: float = 7.5,
        seed: int | Sequence[int] = 0,
        num_images: int = 1,
        negative_prompt: str = "",
        sampler: str = "dpm++2m",
        size: tuple[int, int] | None = None,
        batch_size: int = 1,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Output:
        """Make pictures.

        Args:
            prompt: a prompt, or one for each picture.
            controls: any number; they compose by addition.
            weighting: "uniform", "resolution", "decay" or "condition-only".
            num_inference_steps: denoising steps.
            guidance_scale: β of classifier-free guidance; 1 is none.
            seed: of the first picture (picture i has `seed + i`), or one for each picture.
            num_images: how many, for a single prompt.
            negative_prompt: what the unconditional side is told.
            sampler: one of `zeroconv.diffusion.SAMPLERS`.
            size: width and height in pixels; that of the maps, else the base's own, if left out.
            batch_size: pictures computed together: faster on a GPU, equal up to rounding.
            on_step: called with (steps done, steps of the whole call).

        Raises:
            ValueError: for a map of the wrong size, an unknown name, or a number out of range.
        """
        count = num_images if isinstance(prompt, str) else len(prompt)
        if count < 1 or batch_size < 1:
            raise ValueError(f"{count} pictures are asked for, {batch_size} at a time; expected 1 or more of both")
        prompts = [prompt] * count if isinstance(prompt, str) else list(prompt)
        seeds = [seed + i for i in range(count)] if isinstance(seed, int) else list(seed)
        if len(seeds) != count:
            raise ValueError(f"{len(seeds)} seeds for {count} pictures; give one seed, or one each")
        steps = Steps(num_inference_steps, guidance_scale, weighting, sampler)
        width, height = self.picture_size(size, controls)
        for control in controls:
            control.network.check_base(self.base.unet)
        latents, images = [], []
        for first in range(0, count, batch_size):
            rows = range(first, min(first + batch_size, count))
            report = None if on_step is None else counted(on_step, first, len(rows), count)
            prepared = [self.prepare(control, rows, steps, width, height) for control in controls]
            z = self.denoise([prompts[i] for i in rows], negative_prompt, prepared, [seeds[i] for i in rows], steps,
                             self.base.latent_shape(width, height), report)  # fmt: skip
            latents.append(z)
            images += [to_image(picture) for picture in self.base.decode(z)]
        settings = [
            self.settings(prompts[i], seeds[i], negative_prompt, steps, controls, (width, height)) for i in range(count)
        ]
        return Output(images, settings, torch.cat(latents))

    def picture_size(self, size: tuple[int, int] | None, controls: Sequence[Control]) -> tuple[int, int]:
        """Width and height of the pictures: as asked, else that of the first map, else the base's own.

        Raises:
            ValueError: when a map or mask has another size.
        """
        width, height = size or (controls[0].map_of(0).size if controls else (self.base.size, self.base.size))
        for control in controls:
            maps = [control.image] if isinstance(control.image, Image.Image) else list(control.image)
            for picture in (*maps, *([control.mask] if control.mask else [])):
                if picture.size != (width, height):
                    raise ValueError(
                        f"a map or mask is {picture.size[0]}x{picture.size[1]} pixels, the pictures are {width}x{height}: "
                        "give maps of the pictures' size"
                    )
        self.base.latent_shape(width, height)
        return width, height

    def prepare(self, control: Control, rows: range, steps: Steps, width: int, height: int) -> Prepared:
        """Everything about a control that no step changes, computed once."""
        network = control.network.to(self.base.device, self.base.dtype).eval()
        maps = torch.stack([control.tensor_of(i) for i in rows]).to(self.base.device, self.base.dtype)
        expected = network.config.conditioning_channels
        if expected == 1:
            maps = maps.mean(dim=1, keepdim=True)
        features = network.encode_condition(maps)
        heights = connection_heights(network, height // self.base.vae_scale_factor)
        weights = [control.scale * w for w in layer_weights(steps.weighting, heights)]
        if control.layers is not None:
            if len(control.layers) != len(weights):
                raise ValueError(f"got {len(control.layers)} layer weights; this ControlNet has {len(weights)} connections")
            weights = [w * layer for w, layer in zip(weights, control.layers, strict=True)]
        mask = to_tensor(control.mask.convert("L").convert("RGB"))[None, :1] if control.mask else None
        return Prepared(control, features, weights, mask.to(features) if mask is not None else None)

    def denoise(
        self,
        prompts: list[str],
        negative_prompt: str,
        controls: list[Prepared],
        seeds: list[int],
        steps: Steps,
        shape: tuple[int, int, int],
        on_step: Callable[[int, int], None] | None,
    ) -> Tensor:
        """Latents (B, C, h, w) of a batch of pictures."""
        pictures, guided = len(prompts), steps.guidance_scale != 1
        text = self.base.encode_text([negative_prompt] * pictures + prompts if guided else prompts)
        height, width = (self.base.vae_scale_factor * side for side in shape[1:])
        pooled = self.base.added_conditions(text, width, height)
        active = [(ready.control.window, ready.active(pictures, guided, steps.weighting)) for ready in controls]

        def denoiser(z: Tensor, t: Tensor, step: int) -> Tensor:
            acting = [control for window, control in active if window.contains(step, steps.count)]
            if not guided:
                return self.unet(z, t, text.hidden_states, acting, pooled)
            unconditional, conditional = self.unet(torch.cat([z, z]), t, text.hidden_states, acting, pooled).chunk(2)
            return guide(unconditional, conditional, steps.guidance_scale)

        z = initial_noise(shape, seeds).to(self.base.device, self.base.dtype)
        return sample_latents(
            denoiser, z, build_scheduler(steps.sampler, self.base.scheduler_config), steps.count, seeds, on_step
        )

    def settings(
        self, prompt: str, seed: int, negative: str, steps: Steps, controls: Sequence[Control], size: tuple[int, int]
    ) -> dict[str, Any]:
        """What makes one picture again, as plain values."""
        return {
            "prompt": prompt,
            "negative_prompt": negative,
            "seed": seed,
            "num_inference_steps": steps.count,
            "guidance_scale": steps.guidance_scale,
            "sampler": steps.sampler,
            "weighting": steps.weighting,
            "size": list(size),
            "base": self.base.name,
            "base_options": self.base.options,
            "dtype": str(self.base.dtype).removeprefix("torch."),
            "device": self.base.device.type,
            "controls": [
                {
                    "control": control.network.name,
                    "scale": control.scale,
                    "start": control.start,
                    "end": control.end,
                    "layers": list(control.layers) if control.layers is not None else None,
                    "masked": control.mask is not None,
                }
                for control in controls
            ],
        }


def counted(on_step: Callable[[int, int], None], before: int, pictures: int, count: int) -> Callable[[int, int], None]:
    """Turn the steps of one batch into steps of the whole call, counted picture by picture."""
    return lambda step, steps: on_step(before * steps + step * pictures, count * steps)


def connection_heights(network: Any, height: int) -> list[int]:
    """The latent height at each connection, skips first, the middle last."""
    heights = [height]
    for block in network.down_blocks:
        heights += [height] * len(block.resnets)
        if block.downsamplers is not None:
            height = (height + 1) // 2
            heights.append(height)
    return [*heights, height]
