"""From a request to its pictures, whatever its parts are given as."""

from collections.abc import Callable

from zeroconv.control import ControlNet
from zeroconv.generation.base import check_base_name, open_base
from zeroconv.generation.control import Control
from zeroconv.generation.maps import make_controls
from zeroconv.generation.pipeline import ControlPipeline, Output, Runtime
from zeroconv.generation.request import GenerationRequest
from zeroconv.generation.starting import open_start
from zeroconv.runtime.offload import OffloadKind
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["generate"]


def generate(
    request: GenerationRequest,
    base: StableDiffusion | ControlPipeline | None = None,
    *,
    runtime: Runtime | None = None,
    vae_tile: int | None = None,
    offload: OffloadKind | None = None,
    on_step: Callable[[int, int], None] | None = None,
    opened: dict[str, ControlNet] | None = None,
) -> tuple[Output, list[Control]]:
    """From a request to its pictures, and the controls that steered them.

    Args:
        request: what is asked for.
        base: the base, or a pipeline of it, if it is open already; otherwise it is opened as `request.base` says.
        runtime: see `ControlPipeline.optimize`; the usual one if left out.
        vae_tile: see there.
        offload: see there.
        on_step: as in `ControlPipeline`.
        opened: ControlNets of this base that are open already, by name; those that are not are added. Those that are used
            are the pipeline's from then on (`ControlPipeline.adopt`).

    Raises:
        InputError: when something in the request cannot be used, naming its field.
    """
    pipeline = base if isinstance(base, ControlPipeline) else ControlPipeline(base or open_base(request.base))
    base = pipeline.base
    check_base_name(request, base)
    start = open_start(request)
    size = request.size or ((base.size, base.size) if start is None else start.check_size(base, None))
    mask = None if start is None else start.mask
    controls = make_controls(request.controls, base, size, request.resize, mask, opened)
    if (runtime, vae_tile, offload) != (None, None, None):
        pipeline.optimize(runtime=runtime, vae_tile=vae_tile, offload=offload)
    for control in controls:
        pipeline.adopt(control.network)
    output = pipeline(
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
        init_image=None if start is None else start.image,
        strength=request.strength,
        mask_image=mask,
        tile=request.tile,
        tile_overlap=request.tile_overlap,
        on_step=on_step,
    )
    return output, controls
