"""Train the tiny annotator, the judge of depth, segmentation and pose fidelity on the tiny world.

    python experiments/tiny/train_annotator.py --shards data/train --held data/held --run runs/annotator

Hardware: one thread of a CPU. Time: about 10 minutes for 2,000 steps of 16 pictures, longer on a busy machine.
Expected on 200 held-out scenes (in brackets: pictures paired with other scenes' truth): mean IoU of the classes that
cover 0.5 % or more 0.71 (0.11), depth correlation 0.97 (0.71), joints within 5 % of the width 0.86 (0.33). These are
the embedded weights: the running average when the training was stopped at step 1,559 of 2,000.
Restartable: the same command continues from the last checkpoint (written every minute, renamed into place).
Deterministic: batch, flips and disturbances of step i come from a generator keyed by (seed, i) alone.

A shard is an .npz with rgb (N, 128, 128, 3) uint8, inverse_depth (N, 128, 128) in 1/m with 0 = sky, classes
(N, 128, 128) ADE20K indices and keypoints (N, 18, 3) as x, y in pixels and visibility, as the renderer writes it.
Pictures are blurred, noised and recoloured in training, because those to be judged come from a small generator.
"""

import argparse
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from zeroconv.conditions.annotator import CLASSES, GRID, SIZE, Annotation, TinyAnnotator

# Joints in OpenPose order that change places in a mirror.
MIRRORED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
HEAT_SIGMA = 1.3  # of a joint's blob, in places of the 64 x 64 grid


@dataclass
class Shards:
    """All truths in memory: pictures at 128, maps at 64."""

    rgb: NDArray[np.uint8]  # (N, 128, 128, 3)
    inverse_depth: NDArray[np.float16]  # (N, 64, 64) in [0, 1]
    classes: NDArray[np.uint8]  # (N, 64, 64), places in CLASSES
    keypoints: NDArray[np.float32]  # (N, 18, 3)

    @classmethod
    def read(cls, folder: Path, limit: int) -> "Shards":
        """Read the first shards of a folder, about `limit` pictures."""
        place = np.full(256, 255, np.uint8)
        place[list(CLASSES)] = np.arange(len(CLASSES))
        parts: list[tuple[NDArray[np.uint8], NDArray[np.float16], NDArray[np.uint8], NDArray[np.float32]]] = []
        count = 0
        for path in sorted(p for p in folder.glob("*.npz") if p.stem.isdigit()):
            shard = np.load(path)
            inverse = np.minimum(shard["inverse_depth"].astype(np.float32), 10)
            top = np.percentile(inverse, 99, axis=(1, 2), keepdims=True).clip(1e-6)
            inverse = (inverse / top).clip(0, 1)
            inverse = inverse.reshape(-1, GRID, 2, GRID, 2).mean((2, 4))
            parts.append((shard["rgb"], inverse.astype(np.float16), place[shard["classes"][:, ::2, ::2]], shard["keypoints"]))
            count += len(shard["rgb"])
            if count >= limit:
                break
        if not parts:
            raise SystemExit(f"no shards in {folder}")
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def batch(self, index: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures (B, 3, 128, 128) in [0, 1], depth (B, 64, 64), classes (B, 64, 64), keypoints (B, 18, 3)."""
        image = torch.from_numpy(self.rgb[index]).permute(0, 3, 1, 2).float() / 255
        depth = torch.from_numpy(self.inverse_depth[index].astype(np.float32))
        classes = torch.from_numpy(self.classes[index].astype(np.int64))
        return image, depth, classes, torch.from_numpy(self.keypoints[index].copy())


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


def mirror(image: Tensor, depth: Tensor, classes: Tensor, keypoints: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same scene in a mirror."""
    keypoints = keypoints[:, MIRRORED].clone()
    keypoints[..., 0] = SIZE - keypoints[..., 0]
    return image.flip(3), depth.flip(2), classes.flip(2), keypoints


def heat_maps(keypoints: Tensor) -> Tensor:
    """Gaussian blobs (B, 18, 64, 64) with peak 1 at visible joints."""
    grid = torch.arange(GRID).float() + 0.5
    x, y, visible = (keypoints * torch.tensor([GRID / SIZE, GRID / SIZE, 1])).unbind(2)
    across = torch.exp(-0.5 * ((grid - x[..., None]) / HEAT_SIGMA) ** 2)
    down = torch.exp(-0.5 * ((grid - y[..., None]) / HEAT_SIGMA) ** 2)
    return down[..., :, None] * across[..., None, :] * (visible > 0)[..., None, None]


def loss_of(seen: Annotation, depth: Tensor, classes: Tensor, keypoints: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross-entropy of classes + 4 x L1 of inverse depth + where and whether each joint is.

    "Where" is the cross-entropy of a softmax over all places, for visible joints only; a sigmoid alone learnt the
    face and missed the arms. "Whether" is the sigmoid's cross-entropy, which sets the confidence.
    """
    heat = heat_maps(keypoints)
    whether = F.binary_cross_entropy_with_logits(seen.joint_logits, heat, weight=1 + 20 * heat)
    visible = keypoints[..., 2] > 0
    target = heat[visible].flatten(1)  # (joints, 64 * 64)
    where = -(target * seen.joint_logits[visible].flatten(1).log_softmax(1)).sum(1) / target.sum(1)
    flat = F.cross_entropy(seen.class_logits, classes, weights)
    return flat + 4 * F.l1_loss(seen.inverse_depth, depth) + 10 * whether + 0.3 * where.sum() / max(len(where), 1)


def train(shards: Shards, run: Path, steps: int, batch: int, rate: float, seed: int) -> TinyAnnotator:
    """Train for `steps` optimizer steps, continuing from the checkpoint in `run` if there is one."""
    torch.manual_seed(seed)
    network = TinyAnnotator().to(memory_format=torch.channels_last)  # 1.4 times faster on a CPU
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99), use_buffers=True
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
        image, depth, classes, keypoints = shards.batch(index)
        if rng.random() < 0.5:
            image, depth, classes, keypoints = mirror(image, depth, classes, keypoints)
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))
        network.train()
        disturbed = disturb(image, rng).contiguous(memory_format=torch.channels_last)
        loss = loss_of(network(disturbed), depth, classes, keypoints, weights)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(network)
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step:5d}  loss {loss.item():.4f}  {time.time() - started:.0f} s", flush=True)
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
    """Plain held-out numbers over the grid: class accuracy, mean IoU over all places, depth error, joint distance."""
    image, depth, classes, keypoints = held.batch(np.arange(min(count, len(held.rgb))))
    confusion = torch.zeros(len(CLASSES), len(CLASSES))
    error, distance, joints = 0.0, 0.0, 0
    for start in range(0, len(image), 16):
        part = slice(start, start + 16)
        seen = network(image[part])
        guess = seen.class_logits.argmax(1)
        pairs = classes[part].flatten() * len(CLASSES) + guess.flatten()
        confusion += torch.bincount(pairs, minlength=confusion.numel()).view_as(confusion)
        error += float((seen.inverse_depth - depth[part]).abs().mean((1, 2)).sum())
        visible = keypoints[part][..., 2] > 0
        off = (seen.joints()[..., :2] * SIZE - keypoints[part][..., :2]).norm(dim=2)[visible]
        distance, joints = distance + float(off.sum()), joints + len(off)
    hit = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - hit
    return {
        "pictures": len(image),
        "class_accuracy": float(hit.sum() / confusion.sum()),
        "mean_iou": float((hit / union.clamp_min(1))[union > 0].mean()),
        "depth_l1": error / len(image),
        "joint_distance_px": distance / max(joints, 1),
    }


def main() -> None:
    """Read the command line, train, measure, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--held", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--limit", type=int, default=12_000, help="pictures read from the shards")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.run.mkdir(parents=True, exist_ok=True)
    shards = Shards.read(options.shards, options.limit)
    network = train(shards, options.run, options.steps, options.batch, options.rate, options.seed)
    network.save(options.run / "tiny-annotator")
    result = measure(network, Shards.read(options.held, 200), 200)
    (options.run / "result.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
