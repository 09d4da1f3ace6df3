"""Pictures from text and controls: the composition of denoisers, sampled (section 3.4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, SupportsIndex

import torch
from PIL import Image
from torch import Tensor

from zeroconv.control import ActiveControl, ControlNet
from zeroconv.control.reuse import Reuse
from zeroconv.control.weighting import Weighting
from zeroconv.diffusion import build_scheduler, initial_noise, sample_latents
from zeroconv.errors import InputError, under_field
from zeroconv.generation.base import check_base_name, describe_base, open_base
from zeroconv.generation.batching import count_steps, read_seeds, split_batches
from zeroconv.generation.broken_networks import decode_images, name_broken_network
from zeroconv.generation.control import Control, describe_controls
from zeroconv.generation.denoiser import ControlledDenoiser, activate, find_decoder, run_together, stack_maps
from zeroconv.generation.few_steps import few_step_messages
from zeroconv.generation.guidance import Guidance
from zeroconv.generation.inference_copy import prepare_for_inference
from zeroconv.generation.maps import make_controls
from zeroconv.generation.prompt_tags import without_tags
from zeroconv.generation.request import GenerationRequest
from zeroconv.messages import Message, listen, tell
from zeroconv.runtime.choice import FastestUNet, Runtime, UNetRunner, run_unet, usual_runtime
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.stable_diffusion.prompt_encoding import count_windows
from zeroconv.stable_diffusion.textual_inversion import expand_words, unused_words

__all__ = ["ControlPipeline", "Output", "Runtime", "generate"]


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
    """

    def __init__(self, base: StableDiffusion) -> None:
        self.base = base
        self.runtime: Runtime | None = None
        self.runners: dict[Runtime, UNetRunner] = {}

    def optimize(self, dtype: torch.dtype | None = None, runtime: Runtime = "plan") -> Self:
        """Run base and ControlNets this way from now on: the same pictures up to rounding.

        Args:
            dtype: also compute in this type, such as bfloat16; that changes the base.
            runtime: "plan", "openvino" (`pip install "zeroconv[openvino]"`), "auto" for whichever is the fastest where there
                are steps enough to find out, or "torch".

        Raises:
            InputError: for "openvino" where it is not installed.
        """
        self.base.to(self.base.device, dtype)
        self.runtime, self.runners = runtime, {}
        return self

    def runner(self, steps: int) -> UNetRunner:
        """What runs the U-Net for pictures of so many denoising steps."""
        way = self.runtime or usual_runtime(self.base.unet, steps)
        if way not in self.runners:
            self.runners[way] = run_unet(self.base.unet, way)
        return self.runners[way]

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move the base; the ControlNets of a call are copied to it for the call, and themselves stay as they are."""
        self.base.to(device, dtype)
        return self

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
        size: tuple[int, int] | None = None,
        batch_size: int = 1,
        plain_prompt: bool = False,
        control_every: int = 1,
        encoder_every: int = 1,
        control_guidance_scale: float | None = None,
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
            size: width and height in pixels; that of the maps, else the base's own, if left out.
            plain_prompt: whether every letter of the prompts is meant; otherwise `(word:1.3)`, `[word]` and `BREAK` weight and
                divide them as in Stable Diffusion web UI, and long prompts are read to their end.
            control_every: the controls are computed in every so many-th step, and their last residuals added in the others: an
                approximation, see docs/results/approximations.md.
            encoder_every: so are encoder and controls together.
            control_guidance_scale: γ of guidance on the controls, see `ControlGuidanceDenoiser`; none if left out.
            batch_size: pictures computed together: faster on a GPU, equal up to rounding.
            on_step: called with (steps done, steps of the whole call).

        Raises:
            InputError: for a map of the wrong size, an unknown name, or a number out of range.
            ValueError: for a ControlNet that was made for another base.
        """
        count = num_images if isinstance(prompt, str) else len(prompt)
        if count < 1 or batch_size < 1:
            wrong = "num_images" if count < 1 else "batch_size"
            message = f"{count} pictures are asked for, {batch_size} at a time; expected 1 or more of both"
            raise InputError(message, field=wrong)
        prompts = [prompt] * count if isinstance(prompt, str) else list(prompt)
        seeds = read_seeds(seed, count)
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
            "size": self.picture_size(size, controls),
            "base": describe_base(self.base),
        }
        described = describe_controls(controls, count)
        requests = [GenerationRequest(prompt=prompts[i], seed=seeds[i], controls=described[i], **shared) for i in range(count)]
        messages = Guidance(guidance_scale, control_guidance_scale).idle_reasons(len(controls))
        messages += few_step_messages(self.base.options, guidance_scale)
        for control in controls:
            control.network.check_base(self.base.unet)
            messages += control.idle_reasons(num_inference_steps)
        for message in messages:
            tell(message)
        asked = [word for _, word in self.base.options.get("embeddings", ())]
        for word in unused_words([*prompts, negative_prompt], asked):
            tell(Message(f"the embedding {word!r} is in no prompt: it has no effect", "no-effect.embedding"))
        latents: list[Tensor] = []
        networks = [control.network for control in controls]
        with prepare_for_inference(networks, self.base.device, self.base.dtype) as ready:
            batches = split_batches([self.count_windows(request) for request in requests], batch_size)
            runner = self.runner(num_inference_steps)
            if isinstance(runner, FastestUNet):
                runner.expect(num_inference_steps * len(batches))
            for rows in batches:
                report = None if on_step is None else count_steps(on_step, rows.start, len(rows), count)
                with name_broken_network(self.base, networks):
                    latents.append(self.make_latents(requests[rows.start : rows.stop], controls, ready, rows, report))
        with name_broken_network(self.base, networks):
            images = [picture for z in latents for picture in decode_images(self.base, z)]
        return Output(images, requests, torch.cat(latents))

    def count_windows(self, request: GenerationRequest) -> int:
        """How many windows of tokens the prompts of a picture fill: beside longer ones it would get empty windows too."""
        if request.plain_prompt:
            return 1
        prompts = [request.prompt] if request.guidance_scale == 1 else [request.prompt, request.negative_prompt]
        with listen(lambda _: None):  # what is wrong about them is told when they are encoded
            words = [expand_words(without_tags(prompt), self.base.embeddings) for prompt in prompts]
            return max(count_windows(prompt, self.base.prompt_encoders) for prompt in words)

    def picture_size(self, size: tuple[int, int] | None, controls: Sequence[Control]) -> tuple[int, int]:
        """Width and height of the pictures: as asked, else that of the first map, else the base's own.

        Raises:
            InputError: when a map or mask has another size.
        """
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

    def make_latents(
        self,
        requests: Sequence[GenerationRequest],
        controls: Sequence[Control],
        networks: Sequence[ControlNet],
        rows: range,
        on_step: Callable[[int, int], None] | None,
    ) -> Tensor:
        """Latents (B, C, h, w) of the pictures `rows`, which differ in prompt, seed and maps alone; a network per control."""
        base, request = self.base, requests[0]
        assert request.size is not None, "the pictures' size was settled before"
        seeds, steps = [one.seed for one in requests], request.num_inference_steps
        guidance = Guidance(request.guidance_scale, request.control_guidance_scale if controls else None)
        written = guidance.prompts(requests)
        if not request.plain_prompt:
            written = [without_tags(prompt) for prompt in written]
        text = base.encode_text(written, weighted=not request.plain_prompt)
        active: list[ActiveControl] = []
        for group in run_together(controls, networks):
            maps: list[Tensor] = []
            for index in group:
                with under_field(f"controls.{index}"):
                    maps.append(stack_maps(controls[index], networks[index], rows))
            with under_field(f"controls.{group[0]}"):
                acting = [controls[index] for index in group]
                active.append(activate(acting, networks[group[0]], maps, request.weighting, guidance))
        added = base.added_conditions(text, *request.size)
        decoder = find_decoder(controls, networks)
        reuse = Reuse(request.control_every, request.encoder_every)
        denoiser = ControlledDenoiser(self.runner(steps), text.hidden_states, active, steps, added, decoder, reuse)
        z = initial_noise(base.latent_shape(*request.size), seeds).to(base.device, base.dtype)
        scheduler = build_scheduler(request.sampler, base.scheduler_config, steps)
        return sample_latents(guidance.wrap(denoiser), z, scheduler, steps, seeds, on_step)


def generate(
    request: GenerationRequest,
    base: StableDiffusion | None = None,
    *,
    runtime: Runtime | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[Output, list[Control]]:
    """From a request to its pictures, and the controls that steered them.

    Args:
        request: what is asked for.
        base: the base, if it is open already; otherwise it is opened as `request.base` says.
        runtime: see `ControlPipeline.optimize`; the usual one if left out.
        on_step: as in `ControlPipeline`.

    Raises:
        InputError: when something in the request cannot be used, naming its field.
    """
    if base is None:
        base = open_base(request.base)
    else:
        check_base_name(request, base)
    size = request.size or (base.size, base.size)
    controls = make_controls(request.controls, base, size, request.resize)
    pipeline = ControlPipeline(base)
    output = (pipeline if runtime is None else pipeline.optimize(runtime=runtime))(
        request.prompt,
        controls,
        weighting=request.weighting,
        num_inference_steps=request.num_inference_steps,
        guidance_scale=request.guidance_scale,
        seed=request.seed,
        num_images=request.num_images,
        negative_prompt=request.negative_prompt,
        sampler=request.sampler,
        plain_prompt=request.plain_prompt,
        control_every=request.control_every,
        encoder_every=request.encoder_every,
        control_guidance_scale=request.control_guidance_scale,
        size=size,
        on_step=on_step,
    )
    return output, controls
