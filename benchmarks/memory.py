"""Peak memory of one controlled picture, in a process of its own for each way: ours and diffusers', from the same folder.

    python benchmarks/memory.py                                        the tiny base, 128 px
    python benchmarks/memory.py --size sd15 --side 256                 SD 1.5's sizes, random weights: 3 GB of disk
    python benchmarks/memory.py --compare-tiles                        tiles against the whole picture, two minutes
    python benchmarks/memory.py --size sd15 --side 512 --ways torch,tiles,int8 --limit 8

A child opens base and ControlNet from a folder of half-precision weights, makes a picture with guidance and one control, and
tells the largest memory that the system ever saw it have (VmHWM), all libraries included. What every process has after its
imports is told too. Steps do not change a peak, so there are few. `--limit` ends a child that takes more, in GB. Writes
nothing but what it prints.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WAYS = {
    "diffusers": "diffusers",
    "torch": "zeroconv, runtime torch",
    "tiles": "the same, the autoencoder in tiles",
    "plan": "zeroconv, by plans",
    "int8": "zeroconv, weights in 8 bits",
    "int8-tiles": "the same, the autoencoder in tiles",
    "diffusers-bf16": "diffusers, bf16",
    "bf16": "zeroconv, bf16, runtime torch",
}
SD15: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "sample_size": 512,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip


def write_networks(size: str, folder: Path) -> None:
    """A base and a ControlNet in the diffusers layout, in half precision."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel

    from zeroconv import StableDiffusion

    torch.manual_seed(0)
    tiny = StableDiffusion.from_pretrained("tiny")
    unet, vae, text, widths = tiny.unet, tiny.vae, tiny.text_encoder, (8, 16, 32, 64)
    if size == "sd15":
        unet, vae, widths = UNet2DConditionModel(**SD15), AutoencoderKL(**VAE), (16, 32, 96, 256)
        text = CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12,
                                            vocab_size=tiny.text_encoder.config.vocab_size))  # fmt: skip
    ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=widths).half().save_pretrained(folder / "control")
    scheduler = DDIMScheduler.from_config(tiny.scheduler_config)
    whole = StableDiffusionPipeline(vae, text, tiny.tokenizer, unet, scheduler, None, None, requires_safety_checker=False)  # type: ignore[arg-type]
    whole.to(dtype=torch.float16).save_pretrained(folder / "base")


def compare_tiles(sides: tuple[int, ...], tiles: tuple[int, ...]) -> None:
    """Decode latents of two pictures of the tiny world, whole and in tiles, and print errors and what each takes."""
    import torch
    from PIL import Image

    from zeroconv import StableDiffusion
    from zeroconv.images import normalize, to_tensor
    from zeroconv.runtime.planned_vae import PlannedAutoencoder
    from zeroconv.world import make

    vae = StableDiffusion.from_pretrained("tiny").vae
    print("| | tile | mean error of 255 | largest | error of the latents | memory, MB |\n" + 6 * "|---" + "|")

    def peak(compute: Callable[[], Any]) -> tuple[Any, int]:
        Path("/proc/self/clear_refs").write_text("5", "utf-8")  # forget the peak
        before = memory()["now"]
        return compute(), memory()["peak"] - before

    def decode(z: Any, tile: int, way: str) -> tuple[Any, Any, int]:
        if way == "zeroconv":
            planned = PlannedAutoencoder(vae, tile)
            found, taken = peak(lambda: planned.decode(z))
            return found, planned.encode(images), taken
        vae.use_tiling, vae.tile_sample_min_size, vae.tile_latent_min_size = way == "diffusers", tile, tile // 8
        found, taken = peak(lambda: vae.decode(z).sample)
        return found, vae.encode(images).latent_dist.mean, taken

    with torch.no_grad():
        for side in sides:
            for seed in (900_000_001, 900_000_007):
                picture = Image.fromarray(make(seed).rgb).resize((side, side), Image.Resampling.BICUBIC)
                images = normalize(to_tensor(picture))[None]
                vae.use_tiling = False
                z = vae.encode(images).latent_dist.mean
                whole, _, taken = decode(z, side, "whole")
                print(f"| {side} px, whole | | | | | {taken / 1e6:.0f} |", flush=True)
                for tile in (tile for tile in tiles if tile < side):
                    for way in ("diffusers", "zeroconv"):
                        found, latents, taken = decode(z, tile, way)
                        off = (found - whole).abs() * 127.5
                        print(f"| {side} px, {way} | {tile} | {float(off.mean()):.2f} | {float(off.max()):.1f} | "
                              f"{float((latents - z).norm() / z.norm()):.3f} | {taken / 1e6:.0f} |", flush=True)  # fmt: skip


def memory() -> dict[str, int]:
    """Bytes that this process has now, and has had at most."""
    lines = (line.split() for line in Path("/proc/self/status").read_text("utf-8").splitlines())
    found = {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) == 3 and words[2] == "kB"}
    return {"now": found["VmRSS"], "peak": found["VmHWM"]}


def measure(way: str, side: int, steps: int, tile: int, folder: Path) -> dict[str, Any]:
    """One picture, in this process."""
    import numpy as np
    import torch
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
    from PIL import Image

    from zeroconv import Control, ControlNet, ControlPipeline
    from zeroconv.generation import BaseRequest
    from zeroconv.generation.base import open_base
    from zeroconv.stable_diffusion.eight_bits import quantize

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), "uint8"))
    imported, kind = memory(), torch.bfloat16 if "bf16" in way else torch.float32
    started, latents = time.process_time(), None
    if way.startswith("diffusers"):
        control = ControlNetModel.from_pretrained(folder / "control", torch_dtype=kind)
        theirs: Any = StableDiffusionControlNetPipeline.from_pretrained(
            folder / "base", controlnet=control, torch_dtype=kind, local_files_only=True
        )
        theirs.set_progress_bar_config(disable=True)
        opened = time.process_time()
        theirs("a house", image=picture, num_inference_steps=steps, height=side, width=side)
    else:
        name = str(kind).removeprefix("torch.")
        weights = "int8" if "int8" in way else None
        base = open_base(BaseRequest.model_validate(
            {"name": str(folder / "base"), "device": "cpu", "dtype": name, "weights": weights}))  # fmt: skip
        network = ControlNet.from_pretrained(folder / "control")
        if weights is not None:
            quantize(network)
        ours = ControlPipeline(base).optimize(
            runtime="plan" if way == "plan" else "torch", vae_tile=tile if "tiles" in way else None
        )
        ours.adopt(network)
        opened = time.process_time()
        out = ours("a house", [Control(network, picture)], num_inference_steps=steps, size=(side, side), sampler="ddim")
        latents = out.latents.flatten().tolist() if side <= 256 else None
    drawn = time.process_time()
    return {**memory(), "imported": imported["now"], "opening": opened - started, "drawing": drawn - opened, "latents": latents}


def ask(way: str, args: argparse.Namespace, folder: Path) -> dict[str, Any] | None:
    """What a process of its own found; None where it took more memory than it may."""
    command = [sys.executable, __file__, "--child", way, "--side", str(args.side), "--steps", str(args.steps),
               "--tile", str(args.tile), "--folder", str(folder)]  # fmt: skip
    limit = int(args.limit * 1e9)
    done = subprocess.run(
        command, capture_output=True, text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    )
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure every way in turn and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("tiny", "sd15"), default="tiny")
    parser.add_argument("--side", type=int, help="of the picture in pixels; 128 for tiny, 256 for sd15")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--tile", type=int, help="in pixels; half the side if left out")
    parser.add_argument("--ways", default=",".join(WAYS), help="with commas")
    parser.add_argument("--limit", type=float, default=16, help="of a process, GB")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--compare-tiles", action="store_true", help="the tiny base's autoencoder in tiles, ours and diffusers'"
    )
    args = parser.parse_args()
    if args.compare_tiles:
        compare_tiles((512, 1024), (256, 512))
        return
    if args.child:
        print(json.dumps(measure(args.child, args.side, args.steps, args.tile, args.folder)))
        return
    args.side = args.side or {"tiny": 128, "sd15": 256}[args.size]
    args.tile = args.tile or max(64, args.side // 2)
    what = f"{args.size}, {args.side} x {args.side} pixels, {args.steps} steps, tiles of {args.tile}"
    print(f"{what}, load {os.getloadavg()[0]:.1f}\n")
    print(
        "| | peak, GB | of it beyond the imports | times diffusers | latents | opening, s | the picture, s |\n"
        + 7 * "|---"
        + "|"
    )
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_networks(args.size, Path(folder))
        for way in args.ways.split(","):
            one = ask(way, args, Path(folder))
            if one is None:
                print(f"| {WAYS[way]} | not made within {args.limit:g} | | | | | |", flush=True)
                continue
            found[way] = one
            reference = found.get("diffusers-bf16" if way == "bf16" else "diffusers")
            ratio = f"{one['peak'] / reference['peak']:.2f}" if reference else ""
            own = (one["peak"] - one["imported"]) / 1e9
            print(f"| {WAYS[way]} | {one['peak'] / 1e9:.2f} | {own:.2f} | {ratio} | {error(one, found.get('torch'))} | "
                  f"{one['opening']:.1f} | {one['drawing']:.1f} |", flush=True)  # fmt: skip


def error(one: dict[str, Any], plain: dict[str, Any] | None) -> str:
    """Relative difference of the latents from those of the networks as they are."""
    if plain is None or one["latents"] is None or plain["latents"] is None or one is plain:
        return ""
    size = sum(value**2 for value in plain["latents"]) ** 0.5
    return f"{sum((a - b) ** 2 for a, b in zip(one['latents'], plain['latents'], strict=True)) ** 0.5 / size:.1e}"


if __name__ == "__main__":
    main()
