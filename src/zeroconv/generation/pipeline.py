"""Pictures from text and controls: the composition of denoisers, sampled (section 3.4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, SupportsIndex

import torch
from PIL import Image
from torch import Tensor

from zeroconv.control import ControlNet
from zeroconv.control.weighting import Weighting
from zeroconv.diffusion import Denoiser
from zeroconv.errors import InputError
from zeroconv.generation.autoencoding import decode_images
from zeroconv.generation.base import describe_base
from zeroconv.generation.batching import count_steps, read_prompts, read_seeds, read_size, split_batches, windows_of
from zeroconv.generation.broken_networks import name_broken_network
from zeroconv.generation.control import Control, Picture, describe_controls, read_controls
from zeroconv.generation.few_steps import few_step_messages
from zeroconv.generation.guidance import Guidance
from zeroconv.generation.inference_copy import prepare_for_inference
from zeroconv.generation.latents import make_latents, place_tiles
from zeroconv.generation.request import DEFAULT_STRENGTH, GenerationRequest
from zeroconv.generation.starting import StartingPicture, idle_strength
from zeroconv.messages import Message, tell
from zeroconv.runtime.choice import FastestUNet, Runtime
from zeroconv.runtime.offload import OffloadKind
from zeroconv.runtime.ways import Ways
from zeroconv.runtime.weights import Weights
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.stable_diffusion.textual_inversion import unused_words

__all__ = ["ControlPipeline", "Output", "Runtime"]


@dataclass(frozen=True)
class Output:
    """The pictures of one call.

    Attributes:
        images: RGB pictures.
        requests: for each picture the request that makes it again, its maps embedded.
        latents: scaled latents before decoding, (B, C, h, w).
    """

    images: list[Image.Image]
    requests: list[GenerationRequest]
    latents: Tensor = field(repr=False)


class ControlPipeline:
    """`ControlPipeline(base)("a red house", controls=[Control(canny, edges)])` makes pictures.

    Picture i has seed `seed + i` and is the same alone or among others: noise is drawn on the CPU for each seed,
    and with `batch_size=1` (the default) each picture is computed by itself.

    On a CPU networks run by plans, from 8 denoising steps on; `optimize` says another way.

    Args:
        base: the locked base.

    Attributes:
        watch: wraps the denoiser of each batch, for whoever wants to see what it predicts.
    """

    def __init__(self, base: StableDiffusion) -> None:
        self.base = base
        self.ways = Ways(base)
        self.watch: Callable[[Denoiser], Denoiser] = lambda denoiser: denoiser

    def optimize(
        self,
        dtype: torch.dtype | None = None,
        runtime: Runtime | None = "plan",
        vae_tile: int | None = None,
        weights: Literal["int8"] | None = None,
        offload: OffloadKind | None = None,
    ) -> Self:
        """Run base and ControlNets this way from now on: the same pictures up to rounding, or in less memory.

        Args:
            dtype: also compute in this type, such as bfloat16; that changes the base.
            runtime: "plan", "openvino" (`pip install "zeroconv[openvino]"`), "compile" (`torch.compile`, for GPUs), "auto" for
                whichever is the fastest where there are steps enough to find out, or "torch"; None leaves it at the usual way.
            vae_tile: decode larger pictures in tiles of so many pixels, with a small error.
            weights: "int8" stores those of U-Net and text encoders in 8 bits, with an error; that changes the base, for good.
            offload: let weights wait in the CPU's memory, by whole networks ("model") or layers ("sequential").

        Raises:
            InputError: for "openvino" where it is not installed, a tile of another size than multiples of 8 from 64 on,
                offloading without a GPU, or a way that does not fit another.
        """
        self.base.to(self.ways.device, dtype)
        if weights is not None:
            self.base.quantize()
        self.ways = Ways.of(self.base, runtime, vae_tile, offload)
        return self

    def to(self, device: torch.device | str | torch.dtype, dtype: torch.dtype | None = None) -> Self:
        """Move the base, or change its type, as `StableDiffusion.to`.

        The ControlNets of a call are copied to it for the call, and themselves stay as they are (`adopt`).
        """
        self.base.to(device, dtype)
        return self

    def adopt(self, network: ControlNet) -> ControlNet:
        """Move a ControlNet itself to where the base is and into its type, so that no call has to copy it.

        Where weights wait off the GPU it stays as it is.

        Args:
            network: changed in place.
        """
        return network if self.ways.offload is not None else network.to(self.base.device, self.base.dtype)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        controls: Sequence[Control] = (),
        weighting: Weighting = "uniform",
        num_inference_steps: int = 20,
        guidance_scale: float = 7.5,
        seed: SupportsIndex | Sequence[SupportsIndex] = 0,
        num_images: int = 1,
        negative_prompt: str = "",
        sampler: str = "dpm++2m",
        size: int | tuple[int, int] | None = None,
        batch_size: int = 1,
        plain_prompt: bool = False,
        control_every: int = 1,
        encoder_every: int = 1,
        control_guidance_scale: float | None = None,
        init_image: Picture | None = None,
        strength: float = DEFAULT_STRENGTH,
        mask_image: Picture | None = None,
        tile: int | None = None,
        tile_overlap: int | None = None,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Output:
        """Make pictures.

        Args:
            prompt: a prompt, or one for each picture.
            controls: any number; they compose by addition. Conditions of one ControlNet-Union that act in the same steps and
                place are given to it at a time, as in its training.
            weighting: "uniform", "resolution", "decay" or "condition-only".
            num_inference_steps: denoising steps.
            guidance_scale: β of classifier-free guidance; 1 is none.
            seed: of the first picture (picture i has `seed + i`), or one for each picture.
            num_images: how many, for a single prompt.
            negative_prompt: the prompt of the unconditional side.
            sampler: one of `zeroconv.diffusion.SAMPLERS`, in any spelling, such as "DPM++ 2M Karras".
            size: width and height in pixels, or the side of a square; that of `init_image`, of the maps or, if there is
                neither, the base's own, if left out.
            plain_prompt: whether every letter of the prompts is meant; otherwise `(word:1.3)`, `[word]` and `BREAK` weight and
                divide them as in Stable Diffusion web UI, and long prompts are read to their end.
            control_every: the controls are computed in every so many-th step, and their last residuals added in the others: an
                approximation, see docs/results/approximations.md.
            encoder_every: so are encoder and controls together.
            control_guidance_scale: γ of guidance on the controls, see `ControlGuidanceDenoiser`; none if left out.
            batch_size: pictures computed together: faster on a GPU, equal up to rounding.
            init_image: a picture to start from (image-to-image) in place of noise alone; one of another size is resized and cut
                to `size`. Controls begin and end by the share of the steps that are run.
            strength: the share of the steps that is run from it on, above 0 and at most 1: little keeps the picture.
            mask_image: where `init_image` is painted anew (inpainting), of the pictures' size: white is, black keeps its
                pixels to the bit, grey mixes both.
            tile: pixels a side of the overlapping tiles in which large pictures are denoised; the whole picture if left out.
            tile_overlap: pixels that neighbouring tiles share at least; half a tile if left out.
            on_step: called with (steps done, steps of the whole call).

        Raises:
            InputError: for a map or mask of the wrong size, an unknown name, or a number out of range.
            ValueError: for a ControlNet that was made for another base.
        """
        prompts, size, controls = read_prompts(prompt, num_images), read_size(size), read_controls(controls)
        count = num_images if isinstance(prompt, str) else len(prompts)
        if count < 1 or batch_size < 1:
            wrong = "num_images" if count < 1 else "batch_size"
            message = f"{count} pictures are asked for, {batch_size} at a time; expected 1 or more of both"
            raise InputError(message, field=wrong)
        seeds, start = read_seeds(seed, count), StartingPicture.read(init_image, strength, mask_image)
        pixels = self.picture_size(size, controls, start)
        shared: dict[str, Any] = {
            "negative_prompt": negative_prompt,
            "num_inference_steps": num_inference_steps,
            "guidance_scale": guidance_scale,
            "weighting": weighting,
            "sampler": sampler,
            "plain_prompt": plain_prompt,
            "control_every": control_every,
            "encoder_every": encoder_every,
            "control_guidance_scale": control_guidance_scale,
            "size": pixels,
            "base": describe_base(self.base),
            "tile": tile,
            "tile_overlap": tile_overlap,
            "strength": strength,
            **({} if start is None else start.describe(pixels)),
        }
        described = describe_controls(controls, count)
        requests = [GenerationRequest(prompt=prompts[i], seed=seeds[i], controls=described[i], **shared) for i in range(count)]
        steps = requests[0].num_inference_steps
        run = steps if start is None else start.steps_run(steps)
        messages = idle_strength(strength) if start is None else start.messages(steps)
        messages += Guidance(guidance_scale, control_guidance_scale).idle_reasons(len(controls))
        messages += few_step_messages(self.base.options, guidance_scale)
        for control in controls:
            control.network.check_base(self.base.unet)
            messages += control.idle_reasons(run) if run else []
        for message in messages:
            tell(message)
        asked = [word for _, word in self.base.options.get("embeddings", ())]
        for word in unused_words([*prompts, negative_prompt], asked):
            tell(Message(f"the embedding {word!r} is in no prompt: it has no effect", "no-effect.embedding"))
        latents: list[Tensor] = []
        networks = [control.network for control in controls]
        Weights.look_again()
        at_a_time = (tile, tile) if tile is not None else pixels
        with (
            self.ways.denoising(run, at_a_time),
            prepare_for_inference(networks, self.ways.waiting, self.base.dtype) as ready,
        ):
            batches = split_batches([windows_of(request, self.base) for request in requests], batch_size)
            runner = self.ways.runner(run)
            if isinstance(runner, FastestUNet):
                runner.expect(run * len(batches) * len(place_tiles(requests[0], self.base)))
            for rows in batches:
                report = None if on_step is None else count_steps(on_step, rows.start, len(rows), count)
                with name_broken_network(self.base, networks):
                    asked = requests[rows.start : rows.stop]
                    latents.append(make_latents(self.ways, asked, controls, ready, rows, start, report, self.watch))
        autoencoder = self.ways.autoencoder(run, tile is not None)
        with name_broken_network(self.base, networks), self.ways.use(self.base.vae):
            images = [picture for z in latents for picture in decode_images(self.base, z, autoencoder)]
        return Output(images if start is None else start.finish(images), requests, torch.cat(latents))

    def picture_size(
        self, size: tuple[int, int] | None, controls: Sequence[Control], start: StartingPicture | None = None
    ) -> tuple[int, int]:
        """Width and height of the pictures: as asked, else that of `start`, of the first map, or the base's own.

        Raises:
            InputError: when a map or mask has another size.
        """
        size = size if start is None else start.check_size(self.base, size)
        width, height = size or (self.base.size, self.base.size)
        if size is None and controls:
            width, height = controls[0].picture_size(controls[0].condition_map(0))
        for index, control in enumerate(controls):
            maps = [control.image] if isinstance(control.image, Image.Image) else list(control.image)
            found = [("condition", control.picture_size(one)) for one in maps]
            for what, (w, h) in (*found, *([("mask", control.mask.size)] if control.mask else [])):
                if (w, h) != (width, height):
                    raise InputError(
                        f"a map or mask is {w}x{h} pixels, the pictures are {width}x{height}",
                        field=f"controls.{index}.{what}",
                        hint="give maps of the pictures' size",
                    )
        self.base.latent_shape(width, height)
        return width, height
