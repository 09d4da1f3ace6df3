"""Render the tiny world into shards and encode them: the data that the tiny base is trained on.

    python experiments/tiny/prepare.py --out DATA --count 11500 --vae START/vae

Writes `DATA/train/*.npz` (seeds 0 …) and `DATA/held/*.npz` (500 held-out scenes) with pictures, inverse distance,
ADE20K classes, normals, keypoints and captions, and `*.latents.npy` beside each: latents of the picture and of its
mirror image, (2, N, C, 16, 16) float16. What is there already is kept: run it again to go on.
One thread renders 13 to 38 pictures a second and encodes 50 to 150, depending on the machine.
"""

# The libraries are typed in part only.
# pyright: reportAttributeAccessIssue=false

import argparse
import os
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from zeroconv.world import HELD_OUT_SEED, make

SHARD = 500


def render(task: tuple[Path, int]) -> Path:
    """One shard of pictures with their truth, unless it is there."""
    path, first = task
    if path.exists():
        return path
    pictures = [make(first + i) for i in range(SHARD)]
    part = path.with_suffix(".tmp.npz")
    np.savez(
        part,
        rgb=np.stack([p.rgb for p in pictures]),
        inverse_depth=np.stack([1 / np.maximum(p.distance, 0.1) for p in pictures]).astype(np.float16),
        classes=np.stack([p.classes for p in pictures]),
        normals=np.stack([(p.normals * 127).round() for p in pictures]).astype(np.int8),
        keypoints=np.stack([p.keypoints if p.keypoints is not None else np.zeros((18, 3)) for p in pictures]),
        captions=np.array([p.caption for p in pictures]),
        kinds=np.array([p.kind for p in pictures]),
    )
    os.replace(part, path)
    return path


@torch.inference_mode()
def encode(path: Path, vae: AutoencoderKL) -> None:
    """Latents of a shard, as it is and mirrored, unless they are there."""
    out = path.with_suffix("").with_suffix(".latents.npy")
    if out.exists():
        return
    rgb = np.load(path)["rgb"]
    views = []
    for view in (rgb, rgb[:, :, ::-1]):
        chunks = (torch.from_numpy(np.ascontiguousarray(view[i : i + 25])) for i in range(0, len(view), 25))
        signed = (chunk.permute(0, 3, 1, 2).float() / 127.5 - 1 for chunk in chunks)
        latents = torch.cat([vae.encode(images).latent_dist.mean for images in signed])
        views.append((latents * vae.config.scaling_factor).half().numpy())
    part = out.with_suffix(".part.npy")
    np.save(part, np.stack(views))
    os.replace(part, out)


def main() -> None:
    """Render, then encode."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=11500)
    parser.add_argument("--vae", type=Path, help="encode with this autoencoder; left out: render only")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    tasks = [(args.out / "held" / f"{HELD_OUT_SEED:09d}.npz", HELD_OUT_SEED)]
    tasks += [(args.out / "train" / f"{first:09d}.npz", first) for first in range(0, args.count, SHARD)]
    for path, _ in tasks:
        path.parent.mkdir(parents=True, exist_ok=True)
    with Pool(args.workers) as pool:
        for path in pool.imap_unordered(render, tasks):
            print("rendered", path, flush=True)
    if args.vae is not None:
        vae = AutoencoderKL.from_pretrained(args.vae, torch_dtype=torch.float32).eval()
        for path, _ in tasks:
            encode(path, vae)
            print("encoded", path, flush=True)


if __name__ == "__main__":
    main()
