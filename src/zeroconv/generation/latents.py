"""The latents of pictures that are computed together: prompts, controls and tiles put together, and sampled."""

from collections.abc import Callable, Sequence

from torch import Tensor

from zeroconv.control import ActiveControl, ControlNet
from zeroconv.control.reuse import Reuse
from zeroconv.diffusion import Denoiser, build_scheduler, initial_noise, sample_latents
from zeroconv.errors import under_field
from zeroconv.generation.control import Control
from zeroconv.generation.denoiser import ControlledDenoiser, activate, find_decoder, run_together, stack_maps
from zeroconv.generation.guidance import Guidance
from zeroconv.generation.prompt_tags import without_tags
from zeroconv.generation.request import GenerationRequest
from zeroconv.generation.starting import StartingPicture
from zeroconv.generation.tiled_denoiser import Tile, TiledDenoiser, cut_tiles
from zeroconv.runtime.ways import Ways
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["make_latents", "place_tiles"]


def make_latents(
    ways: Ways,
    requests: Sequence[GenerationRequest],
    controls: Sequence[Control],
    networks: Sequence[ControlNet],
    rows: range,
    start: StartingPicture | None,
    on_step: Callable[[int, int], None] | None,
    watch: Callable[[Denoiser], Denoiser],
) -> Tensor:
    """Latents (B, C, h, w) of the pictures `rows`, which differ in prompt, seed and maps alone.

    Args:
        ways: how the base's networks are run.
        requests: of each picture; their size was settled before.
        controls: of the whole call.
        networks: of each control, ready to compute with.
        rows: which pictures of the call they are.
        start: the picture they start from; None is noise.
        on_step: as in `sample_latents`.
        watch: wraps the denoiser.

    Raises:
        InputError: for a map or layer weights that do not fit a network.
    """
    base, request, seeds = ways.base, requests[0], [one.seed for one in requests]
    assert request.size is not None, "the pictures' size was settled before"
    steps = request.num_inference_steps
    run = steps if start is None else start.steps_run(steps)
    guidance = Guidance(request.guidance_scale, request.control_guidance_scale if controls else None)
    written = guidance.prompts(requests)
    if not request.plain_prompt:
        written = [without_tags(prompt) for prompt in written]
    with ways.use(*base.networks[2:]):
        text = base.encode_text(written, weighted=not request.plain_prompt)
    known = None
    if start is not None:
        autoencoder = ways.autoencoder(run, request.tile is not None)
        with ways.use(base.vae):
            known = start.known_latents(base, request.size, len(requests), autoencoder)
    ways.keep(*networks)
    decoder = find_decoder(controls, networks)
    maps: list[Tensor] = []
    for index, (control, network) in enumerate(zip(controls, networks, strict=True)):
        with under_field(f"controls.{index}"):
            maps.append(stack_maps(control, network, rows))
    tiles = place_tiles(request, base)
    denoisers: list[Denoiser] = []
    for tile in tiles:
        box = tile.box(base.vae_scale_factor)
        active: list[ActiveControl] = []
        for group in run_together(controls, networks):
            with under_field(f"controls.{group[0]}"):
                acting, parts = [controls[index] for index in group], [maps[index] for index in group]
                active.append(activate(acting, networks[group[0]], parts, request.weighting, guidance, box))
        added = base.added_conditions(text, box[2] - box[0], box[3] - box[1])  # each tile is a picture to the base
        reuse = Reuse(request.control_every, request.encoder_every)
        denoisers.append(
            guidance.wrap(ControlledDenoiser(ways.runner(run), text.hidden_states, active, run, added, decoder, reuse))
        )
    denoiser = denoisers[0] if len(tiles) == 1 else TiledDenoiser(tiles, denoisers)
    z = initial_noise(base.latent_shape(*request.size), seeds).to(ways.device, base.dtype)
    scheduler = build_scheduler(request.sampler, base.scheduler_config, steps)
    return sample_latents(watch(denoiser), z, scheduler, steps, seeds, on_step, known)


def place_tiles(request: GenerationRequest, base: StableDiffusion) -> list[Tile]:
    """The tiles of a request whose size is settled; the whole picture alone if it has none."""
    assert request.size is not None, "the pictures' size was settled before"
    unit = base.vae_scale_factor
    _, height, width = base.latent_shape(*request.size)
    side = max(width, height) if request.tile is None else request.tile // unit
    overlap = side // 2 if request.tile_overlap is None else request.tile_overlap // unit
    return cut_tiles((width, height), side, overlap)
