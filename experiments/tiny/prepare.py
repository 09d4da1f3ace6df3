"""Render the tiny world into shards and encode them: the data that the tiny base is trained on.

    python -m experiments.tiny.prepare --out DATA --count 11500 --vae START/vae
    python -m experiments.tiny.prepare --out DATA --count 100000 --vae START/vae --light --workers 2 --worker 0

Writes `DATA/train/*.npz` (seeds `--first` …) and `DATA/held/*.npz` (500 held-out scenes) with pictures, inverse distance,
ADE20K classes, normals, keypoints and captions, and `*.latents.npy` beside each: latents of the picture and of its
mirror image, (2, N, C, 16, 16) float16. `--light` keeps latents and captions alone, 4 MB a shard and not 80. What is
there already is kept: run it again to go on. `--worker I` of `--workers N` makes every Nth shard in one process; without
it N processes make them all. One thread renders 13 to 38 pictures a second and encodes 50 to 150.
"""

import argparse
import os
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from zeroconv.world import HELD_OUT_SEED, Picture, make

SHARD = 500


def truth_of(pictures: list[Picture]) -> dict[str, np.ndarray]:
    """Pictures and all that the renderer knows of them."""
    return {
        "rgb": np.stack([p.rgb for p in pictures]),
        "inverse_depth": np.stack([1 / np.maximum(p.distance, 0.1) for p in pictures]).astype(np.float16),
        "classes": np.stack([p.classes for p in pictures]),
        "normals": np.stack([(p.normals * 127).round() for p in pictures]).astype(np.int8),
        "keypoints": np.stack([p.keypoints if p.keypoints is not None else np.zeros((18, 3)) for p in pictures]),
    }


@torch.inference_mode()
def encode(rgb: np.ndarray, vae: AutoencoderKL) -> np.ndarray:
    """Scaled latents of pictures (N, H, W, 3) and of their mirror images: (2, N, C, H / 8, W / 8) float16."""
    views: list[np.ndarray] = []
    for view in (rgb, rgb[:, :, ::-1]):
        chunks = (torch.from_numpy(np.ascontiguousarray(view[i : i + 25])) for i in range(0, len(view), 25))
        signed = (chunk.permute(0, 3, 1, 2).float() / 127.5 - 1 for chunk in chunks)
        latents = torch.cat([vae.encode(images).latent_dist.mean for images in signed])
        views.append((latents * vae.config.scaling_factor).half().numpy())
    return np.stack(views)


def make_shard(path: Path, vae_folder: Path | None, light: bool) -> Path:
    """One shard, unless it is there: first the latents, then the rest, each whole or not at all."""
    latents = path.with_suffix(".latents.npy")
    if path.exists() and (latents.exists() or vae_folder is None):
        return path
    torch.set_num_threads(1)
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [] if path.exists() else [make(int(path.stem) + i) for i in range(SHARD)]
    if vae_folder is not None:
        vae = AutoencoderKL.from_pretrained(vae_folder, torch_dtype=torch.float32).eval()
        part = latents.with_suffix(".part.npy")
        np.save(part, encode(np.stack([p.rgb for p in pictures]) if pictures else np.load(path)["rgb"], vae))
        os.replace(part, latents)
    if pictures:
        part = path.with_suffix(".part.npz")
        texts = {"captions": np.array([p.caption for p in pictures]), "kinds": np.array([p.kind for p in pictures])}
        np.savez(part, **texts, **({} if light else truth_of(pictures)))
        os.replace(part, path)
    return path


def main() -> None:
    """Render and encode, shard by shard."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0, help="seed of the first scene, a multiple of 500")
    parser.add_argument("--count", type=int, default=11500)
    parser.add_argument("--vae", type=Path, help="encode with this autoencoder; left out: render only")
    parser.add_argument("--light", action="store_true", help="keep captions and latents alone")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--worker", type=int, help="make every WORKERSth shard from this one on, in this process")
    args = parser.parse_args()
    if args.light and args.vae is None:
        parser.error("--light keeps latents: give --vae")
    paths = [args.out / "held" / f"{HELD_OUT_SEED:09d}.npz"]
    paths += [args.out / "train" / f"{first:09d}.npz" for first in range(args.first, args.first + args.count, SHARD)]
    work = partial(make_shard, vae_folder=args.vae, light=args.light)
    if args.worker is not None:
        for path in paths[args.worker :: args.workers]:
            print(work(path), flush=True)
        return
    with Pool(args.workers) as pool:
        for path in pool.imap(work, paths):
            print(path, flush=True)


if __name__ == "__main__":
    main()
