"""Train the tiny annotator, the judge of depth, normals, segmentation and pose on the tiny world.

    python experiments/tiny/train_annotator.py --shards data/train --held data/held --run runs/annotator --steps 4000

Hardware: one thread of a CPU. Time: about 50 minutes for 4,000 steps of 16 pictures, longer on a busy machine.
Expected on the grid of 200 held-out scenes, which is what the embedded weights give: accuracy 0.949, mean IoU 0.763,
depth δ1 0.900, normals 13.7 degrees off, joints 2.9 px of 128. They were trained with the cosine aimed at 5,000 steps
until step 2,400, at 3,400 until step 3,400, and at 4,000 to the end. `experiments/conditions/truth.py` measures the
extractors that are made of it.
Restartable: the same command continues from the last checkpoint (written every minute, renamed into place).
Deterministic: batch, flips and disturbances of step i come from a generator keyed by (seed, i) alone.

A shard is an .npz with rgb (N, 128, 128, 3) uint8, inverse_depth (N, 128, 128) in 1/m with 0 = sky, classes
(N, 128, 128) ADE20K indices, normals (N, 128, 128, 3) int8 times 127 and keypoints (N, 18, 3) as x, y in pixels and
visibility, as `prepare.py` writes it.
Pictures are blurred, noised and recoloured in training, because those to be judged come from a small generator.
"""

import argparse
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from zeroconv.conditions.networks.annotator import CLASSES, GRID, SIZE, Annotation, TinyAnnotator, fold_depth
from zeroconv.metrics.geometry import depth_scores

# Joints in OpenPose order that change places in a mirror.
MIRRORED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
HEAT_SIGMA = 1.3  # of a joint's blob, in places of the 64 x 64 grid


@dataclass
class Shards:
    """All truths in memory: pictures at 128, maps at 64."""

    rgb: NDArray[np.uint8]  # (N, 128, 128, 3)
    inverse_depth: NDArray[np.float16]  # (N, 64, 64) in [0, 1]
    normals: NDArray[np.int8]  # (N, 64, 64, 3), unit vectors times 127, zeros in the sky
    classes: NDArray[np.uint8]  # (N, 64, 64), places in CLASSES
    keypoints: NDArray[np.float32]  # (N, 18, 3)

    @classmethod
    def read(cls, folder: Path, limit: int) -> "Shards":
        """Read the first shards of a folder, about `limit` pictures."""
        place = np.full(256, 255, np.uint8)
        place[list(CLASSES)] = np.arange(len(CLASSES))
        parts: list[tuple[NDArray[Any], ...]] = []
        count = 0
        for path in sorted(p for p in folder.glob("*.npz") if p.stem.isdigit()):
            shard = np.load(path)
            inverse = np.minimum(shard["inverse_depth"].astype(np.float32), 10)
            top = np.percentile(inverse, 99, axis=(1, 2), keepdims=True).clip(1e-6)
            inverse = (inverse / top).clip(0, 1)
            inverse = inverse.reshape(-1, GRID, 2, GRID, 2).mean((2, 4))
            normals = shard["normals"][:, ::2, ::2]
            classes = place[shard["classes"][:, ::2, ::2]]
            parts.append((shard["rgb"], inverse.astype(np.float16), normals, classes, shard["keypoints"]))
            count += len(shard["rgb"])
            if count >= limit:
                break
        if not parts:
            raise SystemExit(f"no shards in {folder}")
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def batch(self, index: NDArray[np.int64]) -> "Batch":
        """The pictures with these numbers, and the truth about them."""
        return Batch(
            image=torch.from_numpy(self.rgb[index]).permute(0, 3, 1, 2).float() / 255,
            depth=torch.from_numpy(self.inverse_depth[index].astype(np.float32)),
            normals=torch.from_numpy(self.normals[index]).permute(0, 3, 1, 2).float() / 127,
            classes=torch.from_numpy(self.classes[index].astype(np.int64)),
            keypoints=torch.from_numpy(self.keypoints[index].astype(np.float32)),
        )


@dataclass
class Batch:
    """Pictures and their truth."""

    image: Tensor  # (B, 3, 128, 128) in [0, 1]
    depth: Tensor  # (B, 64, 64) in [0, 1]
    normals: Tensor  # (B, 3, 64, 64)
    classes: Tensor  # (B, 64, 64)
    keypoints: Tensor  # (B, 18, 3)

    def mirrored(self) -> "Batch":
        """The same scenes in a mirror."""
        keypoints = self.keypoints[:, MIRRORED].clone()
        keypoints[..., 0] = SIZE - keypoints[..., 0]
        normals = self.normals.flip(3) * torch.tensor([-1.0, 1, 1])[:, None, None]
        return Batch(self.image.flip(3), self.depth.flip(2), normals, self.classes.flip(2), keypoints)


def disturb(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Blur, recolour and add noise, each picture with its own strengths: (B, 3, H, W) in [0, 1]."""
    count = len(image)
    sigma = torch.from_numpy(rng.uniform(0, 1.6, count) * (rng.random(count) < 0.6)).float().clamp_min(0.05)
    taps = torch.arange(-4, 5).float()
    kernel = torch.exp(-0.5 * (taps / sigma[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)  # (3 B, 9)
    flat = F.pad(image.reshape(1, 3 * count, SIZE, SIZE), (4, 4, 4, 4), mode="replicate")
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=3 * count)
    image = F.conv2d(flat, kernel[:, None, None, :], groups=3 * count).reshape(image.shape)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, channels, 1, 1))).float()

    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * draw(0.7, 1.2)
    image = (image - 0.5) * draw(0.75, 1.2) + 0.5 + draw(-0.08, 0.08) + draw(-0.04, 0.04, 3)
    fine = torch.from_numpy(rng.standard_normal(image.shape, np.float32))
    coarse = torch.from_numpy(rng.standard_normal((count, 3, 32, 32), np.float32))
    coarse = F.interpolate(coarse, scale_factor=4, mode="bilinear")
    return (image + fine * draw(0, 0.05) + coarse * draw(0, 0.06)).clamp(0, 1)


def heat_maps(keypoints: Tensor) -> Tensor:
    """Gaussian blobs (B, 18, 64, 64) with peak 1 at visible joints."""
    grid = torch.arange(GRID).float() + 0.5
    x, y, visible = (keypoints * torch.tensor([GRID / SIZE, GRID / SIZE, 1])).unbind(2)
    across = torch.exp(-0.5 * ((grid - x[..., None]) / HEAT_SIGMA) ** 2)
    down = torch.exp(-0.5 * ((grid - y[..., None]) / HEAT_SIGMA) ** 2)
    return down[..., :, None] * across[..., None, :] * (visible > 0)[..., None, None]


def loss_of(seen: Annotation, truth: Batch, weights: Tensor) -> Tensor:
    """The sum of what each answer lacks.

    Classes: weighted cross-entropy, and 1 - the overlap of their shares (C. Sudre et al., 2017), which counts a small
    class as much as a large one. Depth: L1 of inverse depth, and of its logarithm, which counts what is far. Normals:
    1 - the cosine, where there is a surface. Joints: "where" is the cross-entropy of a softmax over all places, for
    visible joints only (a sigmoid alone learnt the face and missed the arms); "whether" is the sigmoid's cross-entropy,
    which sets the confidence.
    """
    heat = heat_maps(truth.keypoints)
    whether = F.binary_cross_entropy_with_logits(seen.joint_logits, heat, weight=1 + 20 * heat)
    visible = truth.keypoints[..., 2] > 0
    target = heat[visible].flatten(1)  # (joints, 64 * 64)
    where = -(target * seen.joint_logits[visible].flatten(1).log_softmax(1)).sum(1) / target.sum(1)
    chances = seen.class_logits.softmax(1)
    wanted = F.one_hot(truth.classes, chances.shape[1]).permute(0, 3, 1, 2).float()
    shared = 2 * (chances * wanted).sum((0, 2, 3)) / (chances + wanted).sum((0, 2, 3)).clamp_min(1e-6)
    there = wanted.sum((0, 2, 3)) > 0
    flat = F.cross_entropy(seen.class_logits, truth.classes, weights) + 0.5 * (1 - shared[there]).mean()
    near = F.l1_loss(seen.inverse_depth, truth.depth)
    far = F.l1_loss(fold_depth(seen.inverse_depth), fold_depth(truth.depth))
    surface = truth.normals.abs().sum(1) > 0
    bent = (1 - (seen.normals * truth.normals).sum(1))[surface].mean()
    return flat + 4 * near + 2 * far + bent + 10 * whether + 0.3 * where.sum() / max(len(where), 1)


def train(shards: Shards, run: Path, steps: int, batch: int, rate: float, seed: int, held: Shards) -> TinyAnnotator:
    """Train for `steps` optimizer steps, continuing from the checkpoint in `run`; measured every 500 steps."""
    torch.manual_seed(seed)
    network = TinyAnnotator().to(memory_format=torch.channels_last)  # 1.4 times faster on a CPU
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995), use_buffers=True
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
    share = np.bincount(shards.classes[::7].ravel(), minlength=len(CLASSES)) / shards.classes[::7].size
    weights = torch.from_numpy((0.02 / (share + 1e-4)) ** 0.35).float().clamp(0.5, 4)
    first, checkpoint = 0, run / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(saved["network"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        first = int(saved["step"])
    started = saved_at = time.time()
    people = np.flatnonzero((shards.keypoints[..., 2] > 0).any(1))
    for step in range(first, steps):
        rng = np.random.default_rng([seed, step])
        some = rng.choice(people, batch // 4)  # a quarter of the batch, besides those among the others
        index = np.concatenate([some, rng.integers(0, len(shards.rgb), batch - len(some))])
        truth = shards.batch(index)
        if rng.random() < 0.5:
            truth = truth.mirrored()
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))
        network.train()
        disturbed = disturb(truth.image, rng).contiguous(memory_format=torch.channels_last)
        loss = loss_of(network(disturbed), truth, weights)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(network)
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:5d}  loss {loss.item():.4f}  {time.time() - started:.0f} s", flush=True)
        if step % 500 == 0 and step:
            print(json.dumps(measure(average.module.eval(), held, 200)), flush=True)
        if time.time() - saved_at > 60 or step == steps - 1:
            state = {"network": network.state_dict(), "average": average.state_dict()}
            torch.save(state | {"optimizer": optimizer.state_dict(), "step": step + 1}, run / "checkpoint.tmp")
            os.replace(run / "checkpoint.tmp", checkpoint)
            saved_at = time.time()
    result = average.module
    assert isinstance(result, TinyAnnotator)
    return result.eval()


@torch.inference_mode()
def measure(network: TinyAnnotator, held: Shards, count: int) -> dict[str, float]:
    """Plain held-out numbers over the grid: class accuracy, mean IoU over all places, depth, angles, joints."""
    confusion = torch.zeros(len(CLASSES), len(CLASSES))
    count = min(count, len(held.rgb))
    delta, angle, surfaces, distance, joints = 0.0, 0.0, 0, 0.0, 0
    for start in range(0, count, 16):
        truth = held.batch(np.arange(start, min(start + 16, count)))
        seen = network(truth.image)
        pairs = truth.classes.flatten() * len(CLASSES) + seen.class_logits.argmax(1).flatten()
        confusion += torch.bincount(pairs, minlength=confusion.numel()).view_as(confusion)
        for found, wanted in zip(seen.inverse_depth.numpy(), truth.depth.numpy(), strict=True):
            delta += depth_scores(found, wanted).delta1
        surface = truth.normals.abs().sum(1) > 0
        cosine = (seen.normals * truth.normals).sum(1)[surface].clamp(-1, 1)
        angle, surfaces = angle + float(cosine.arccos().rad2deg().sum()), surfaces + len(cosine)
        visible = truth.keypoints[..., 2] > 0
        off = (seen.joints()[..., :2] * SIZE - truth.keypoints[..., :2]).norm(dim=2)[visible]
        distance, joints = distance + float(off.sum()), joints + len(off)
    hit = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - hit
    return {
        "pictures": count,
        "class_accuracy": float(hit.sum() / confusion.sum()),
        "mean_iou": float((hit / union.clamp_min(1))[union > 0].mean()),
        "depth_delta1": delta / count,
        "normal_degrees": angle / max(surfaces, 1),
        "joint_distance_px": distance / max(joints, 1),
    }


def main() -> None:
    """Read the command line, train, measure, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--held", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--limit", type=int, default=12_000, help="pictures read from the shards")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.run.mkdir(parents=True, exist_ok=True)
    shards = Shards.read(options.shards, options.limit)
    held = Shards.read(options.held, 200)
    network = train(shards, options.run, options.steps, options.batch, options.rate, options.seed, held)
    network.save(options.run / "tiny-annotator")
    result = measure(network, held, 200)
    (options.run / "result.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
