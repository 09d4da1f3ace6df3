"""Time and memory of a training step at SD 1.5's sizes with random weights, 256 pixels, batch 1: ours and others'.

    python benchmarks/training.py             one idle core: ten minutes and 18 GB
    python benchmarks/training.py --tiny      the same with networks of a few thousand parameters: a minute
    python benchmarks/training.py fp32 bf16   some rows alone, the first of which the others are compared with
    python benchmarks/training.py --expected  no measurement: the memory that `zeroconv train --dry-run` expects of each row

The first table has the loop of diffusers' `train_controlnet.py` beside ours, a step of the one after a step of the other
in one process where both fit into it, one loop after the other for bf16. That loop encodes picture and prompt in every
step and moves weights by torch's AdamW as it comes; ours reads both from the cache. It was written anew from what that
script does, without accelerate. The second table has a process of its own for each row. Times are processor seconds of
one thread, the median of the timed steps; memory is the largest resident set of the process.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

ROWS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "fp32, pack_base": {"pack_base": True},
    "fp32, base in bfloat16": {"base_dtype": "bfloat16"},
    "fp32, base in int8": {"base_dtype": "int8"},
    "fp32, checkpoint_encoder": {"checkpoint_encoder": True},
    "fp32, checkpoint_decoder": {"checkpoint_decoder": True},
    "fp32, adamw8bit": {"optimizer": "adamw8bit"},
    "fp32, lora": {"variant": "lora"},
    "bf16": {"precision": "bf16"},
    "bf16, base in int4": {"precision": "bf16", "base_dtype": "int4"},
    "bf16, int4, both checkpoints, adamw8bit": {
        "precision": "bf16", "base_dtype": "int4", "optimizer": "adamw8bit",
        "checkpoint_encoder": True, "checkpoint_decoder": True,
    },
}  # fmt: skip
TUNED = {"U-Net, all of it": "", "U-Net, encoder and middle": "encoder"}
"""Rows that train the U-Net itself and no ControlNet: what the paper may have compared with."""
LOOPS = {"ours, fp32": {}, "ours, fp32, pack_base": {"pack_base": True}, "ours, bf16": {"precision": "bf16"}}
CLIP = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
NARROW = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
RATE = 1e-5
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}


@dataclass(frozen=True)
class Size:
    """How large everything is."""

    unet: dict[str, Any]
    vae: dict[str, Any]
    clip: dict[str, Any]
    pixels: int


def size_of(tiny: bool) -> Size:
    """SD 1.5's sizes, or tiny ones of the same form."""
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    if tiny:
        unet = {"block_out_channels": (16, 32, 32, 32), "norm_num_groups": 8, "cross_attention_dim": 16}
        vae = {**blocks, "block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4}
        return Size({**unet, "attention_head_dim": 2}, vae, NARROW, 64)
    vae = {**blocks, "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}
    return Size({"cross_attention_dim": 768}, vae, CLIP, 256)


def fill(make: Callable[[], Any]) -> Any:
    """A network with small random numbers, without the time that its own initialisation takes."""
    import torch

    with torch.device("meta"):
        network = make()
    network.to_empty(device="cpu")
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                width = parameter[0].numel()
                parameter.normal_(0, 0.5 / width**0.5, generator=drawn)
            else:
                parameter.fill_(float(name.endswith("weight")))
    return network.eval()


def make_unet(size: Size) -> Any:
    """The U-Net."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return fill(lambda: UNet2DConditionModel(**size.unet))


def make_inputs(size: Size) -> dict[str, Any]:
    """A picture in [-1, 1], its map in [0, 1], tokens, and latents and states as they are in a cache."""
    import torch

    drawn, side = torch.Generator().manual_seed(1), size.pixels
    return {
        "pixels": torch.rand(1, 3, side, side, generator=drawn) * 2 - 1,
        "map": torch.rand(1, 3, side, side, generator=drawn),
        "tokens": torch.randint(0, 1000, (1, 77), generator=drawn),
        "latents": torch.randn(1, 4, side // 8, side // 8, generator=drawn),
        "states": torch.randn(1, 77, size.unet["cross_attention_dim"], generator=drawn),
    }


def diffusers_steps(size: Size, unet: Any) -> Generator[float]:
    """The losses of the other loop, one step after the other."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.optimization import get_scheduler
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel

    vae = fill(lambda: AutoencoderKL(**size.vae)).requires_grad_(False)
    text_encoder = CLIPTextModel(CLIPTextConfig(**size.clip)).requires_grad_(False).eval()
    betas: Any = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    scheduler: Any = DDPMScheduler(1000, **betas)
    widths = (4, 8, 8, 16) if size.pixels < 256 else (16, 32, 96, 256)
    control = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=widths).train()
    optimizer = torch.optim.AdamW(control.parameters(), lr=RATE, weight_decay=1e-2)
    rates = get_scheduler("constant", optimizer)
    given, drawn = make_inputs(size), torch.Generator().manual_seed(2)
    while True:
        latents = vae.encode(given["pixels"]).latent_dist.sample() * vae.config.scaling_factor
        noise = torch.randn(latents.shape, generator=drawn)
        t = torch.randint(0, 1000, (1,), generator=drawn)
        noisy = scheduler.add_noise(latents, noise, t)
        states = text_encoder(given["tokens"], return_dict=False)[0]
        down, middle = control(noisy, t, encoder_hidden_states=states, controlnet_cond=given["map"], return_dict=False)
        residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        prediction = unet(noisy, t, encoder_hidden_states=states, **residuals, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(prediction.float(), noise.float(), reduction="mean")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(control.parameters(), 1.0)
        optimizer.step()
        rates.step()
        optimizer.zero_grad()
        yield loss.item()


def our_steps(size: Size, unet: Any, settings: dict[str, Any]) -> Iterator[float]:
    """The losses of our loop."""
    import torch

    from zeroconv import StableDiffusion
    from zeroconv.training import TrainConfig
    from zeroconv.training.data.batches import Batch
    from zeroconv.training.loop import optimize
    from zeroconv.training.parts import build_loss, build_optimizer, lock_and_build

    widths = None if size.pixels == 256 else (4, 8, 8, 16)
    values: dict[str, Any] = {"optimizer": "adamw", "condition_encoder_channels": widths, "learning_rate": RATE, **settings}
    config = TrainConfig.build(**values)
    base = StableDiffusion(unet.requires_grad_(False), None, None, None, BETAS)
    base, network = lock_and_build(config, base)
    del unet  # where the base is kept in another type, nobody has it any more
    optimizer = build_optimizer(network.train(), config.optimization, base)
    loss = build_loss(config, base, network, "cpu")
    given, drawn = make_inputs(size), torch.Generator().manual_seed(2)

    def parts_of(_: int) -> list[Batch]:
        noise = torch.randn(given["latents"].shape, generator=drawn)
        return [Batch(given["latents"], given["states"], given["map"], torch.randint(0, 1000, (1,), generator=drawn), noise)]

    for state in optimize(loss, parts_of, optimizer, lambda _: 1.0, 1.0, range(10**6)):
        yield state.loss.item()


def tuning_steps(size: Size, unet: Any, part: str) -> Iterator[float]:
    """The losses of training the U-Net itself on the same inputs, by fused AdamW.

    Args:
        size: of everything.
        unet: the network.
        part: "encoder" trains its encoder and middle block alone, as many weights as a ControlNet copies.
    """
    import torch

    unet.train().requires_grad_(not part)
    for module in (unet.conv_in, unet.time_embedding, unet.down_blocks, unet.mid_block):
        module.requires_grad_(True)
    weights = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, fused=True)
    given, drawn = make_inputs(size), torch.Generator().manual_seed(2)
    while True:
        noise = torch.randn(given["latents"].shape, generator=drawn)
        prediction = unet(given["latents"] + noise, torch.randint(0, 1000, (1,), generator=drawn), given["states"]).sample
        loss = torch.nn.functional.mse_loss(prediction, noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield loss.item()


def print_expected(size: Size) -> None:
    """The memory of a step of every row, counted on the meta device."""
    import torch
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    from zeroconv.stable_diffusion import PromptEncoding, StableDiffusion
    from zeroconv.training import TrainConfig
    from zeroconv.training.parts import lock_and_build
    from zeroconv.training.planning.memory import estimate_memory

    class UNetAlone(StableDiffusion):
        @property
        def networks(self) -> tuple[Any, ...]:
            return (self.unet,)

        def latent_shape(self, width: int, height: int) -> tuple[int, int, int]:
            return 4, height // 8, width // 8

        def encode_text(self, prompts: Sequence[str], weighted: bool = False) -> PromptEncoding:
            return PromptEncoding(torch.zeros(len(prompts), 77, size.unet["cross_attention_dim"]))

    with torch.device("meta"):
        unet = UNet2DConditionModel(**size.unet).requires_grad_(False)
    print("| row | base | weights | gradients | optimizer | activations | together, GB |\n|---|---|---|---|---|---|---|")
    for name, settings in ROWS.items():
        values: dict[str, Any] = {"optimizer": "adamw", "batch_size": 1, **settings}
        config = TrainConfig.build(**values)
        with torch.device("meta"):
            base, network = lock_and_build(config, UNetAlone(unet, None, None, None, BETAS))
        found = estimate_memory(config, base, network, config.optimization.optimizer or "adamw", (size.pixels, size.pixels))
        parts = (found.base, found.weights, found.gradients, found.optimizer, found.activations, found.total)
        print(f"| {name} | {' | '.join(f'{part / 1e9:.2f}' for part in parts)} |", flush=True)


def timed(steps: Iterator[float], taken: list[float]) -> float:
    """The loss of a step, whose processor seconds are noted."""
    before = time.process_time()
    loss = next(steps)
    taken.append(time.process_time() - before)
    return loss


def run_pair(size: Size, name: str, count: int) -> dict[str, Any]:
    """Both loops, in turn; the first step of each is not counted. In bf16 the one is gone before the other begins."""
    unet, one, other = make_unet(size), list[float](), list[float]()
    theirs, ours = diffusers_steps(size, unet), our_steps(size, unet, LOOPS[name])
    if LOOPS[name]:
        for _ in range(count + 1):
            timed(theirs, one)
        theirs.close()
    for _ in range(count + 1):
        if not LOOPS[name]:
            timed(theirs, one)
        timed(ours, other)
    return {"theirs": statistics.median(one[1:]), "ours": statistics.median(other[1:])}


def run_row(size: Size, name: str, count: int) -> dict[str, Any]:
    """One row of the second table."""
    import torch

    unet, taken = make_unet(size), list[float]()
    steps = tuning_steps(size, unet, TUNED[name]) if name in TUNED else our_steps(size, unet, ROWS[name])
    del unet
    losses = [timed(steps, taken) for _ in range(count + 1)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert torch.tensor(losses).isfinite().all(), losses
    return {"seconds": statistics.median(taken[1:]), "peak": peak, "losses": losses}


def in_child(kind: str, name: str, tiny: bool, count: int) -> dict[str, Any]:
    """What a process of its own measures."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        __file__,
        "--only",
        kind,
        name,
        "--steps",
        str(count),
        *(["--tiny"] if tiny else []),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(tiny: bool, count: int, names: Sequence[str]) -> None:
    """Measure and print both tables, or those rows of them that have names."""
    unit, scale = ("MB", 1e6) if tiny else ("GB", 1e9)
    loops = [name for name in LOOPS if name in names or not names]
    rows = [name for name in (*ROWS, *TUNED) if name in names or not names]
    if loops:
        print(f"| {'loop':40} | seconds | diffusers' | times as fast |\n|---|---|---|---|", flush=True)
    for name in loops:
        found = in_child("pair", name, tiny, count)
        ratio = found["theirs"] / found["ours"]
        print(f"| {name:40} | {found['ours']:.3g} | {found['theirs']:.3g} | {ratio:.2f} |", flush=True)
    if rows:
        titles = f"| {'row':40} | peak {unit} | of the first | seconds | of the first | losses |"
        print(f"\n{titles}\n|---|---|---|---|---|---|", flush=True)
    first: dict[str, Any] = {}
    for name in rows:
        found = in_child("row", name, tiny, count)
        first = first or found
        memory, seconds = found["peak"] / first["peak"], found["seconds"] / first["seconds"]
        losses = ", ".join(f"{loss:.4f}" for loss in found["losses"][:3])
        line = f"| {name:40} | {found['peak'] / scale:.2f} | {memory:.2f} | {found['seconds']:.3g} | {seconds:.2f} |"
        print(f"{line} {losses} |", flush=True)


def main() -> None:
    """Parse and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="rows; all of them if left out")
    parser.add_argument("--tiny", action="store_true", help="networks of a few thousand parameters")
    parser.add_argument("--expected", action="store_true", help="memory alone, as a dry run expects it")
    parser.add_argument("--steps", type=int, default=2, help="timed steps, after one that is not")
    parser.add_argument("--only", nargs=2, metavar=("KIND", "NAME"), help="one row, as JSON: what the child processes do")
    args = parser.parse_args()
    if args.expected:
        print_expected(size_of(args.tiny))
        return
    if args.only is None:
        compare(args.tiny, args.steps, args.names)
        return
    kind, name = args.only
    print(json.dumps((run_pair if kind == "pair" else run_row)(size_of(args.tiny), name, args.steps)))


if __name__ == "__main__":
    main()
