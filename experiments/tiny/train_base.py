"""Train the U-Net and the text encoder of the tiny base together, on cached latents.

    python experiments/tiny/train_base.py --data DATA --start START --out RUN --steps 6000 --decay 1500

DATA holds shards made by `prepare.py` (`*.npz` with captions, `*.latents.npy`) in `train/` and `held/`.
START is a diffusers folder with `unet`, `text_encoder` and `tokenizer`: the last tiny base, or a fresh one
from `fresh_base.py`. The same command again resumes from the newest checkpoint in RUN; with a larger `--steps`
it goes on. Every draw is keyed by (seed, step): an interrupted run and an uninterrupted one are the same run.

Objective: epsilon prediction, weighted min(SNR, 5) / SNR (Hang et al., 2023, arXiv 2303.09556), 10 % of the
prompts emptied, warm-up, constant rate, linear decay to zero over the last `--decay` steps, weight average.
Figures of the runs that made the shipped weights: `docs/results/tiny.md`.
"""

import argparse
import copy
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from zeroconv.diffusion.randomness import generator, keyed_noise
from zeroconv.training.optimizer import build_optimizer

SCHEDULE = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)
ALPHAS_CUMPROD = SCHEDULE.alphas_cumprod
HELD_OUT = 256  # scenes of the validation loss


class Latents:
    """Cached latents with their token ids: `(z, tokens)` by index, two views (as it is, mirrored) each."""

    def __init__(self, folder: Path, tokenizer: CLIPTokenizer) -> None:
        shards = sorted(path for path in folder.glob("*.latents.npy"))
        if not shards:
            raise SystemExit(f"no *.latents.npy in {folder}: run experiments/tiny/prepare.py first")
        self.views = np.concatenate([np.load(path) for path in shards], axis=1)  # (2, N, C, h, w) float16
        captions = [c for path in shards for c in np.load(str(path).replace(".latents.npy", ".npz"))["captions"]]
        self.tokens = tokens(tokenizer, [str(caption) for caption in captions])
        assert self.views.shape[1] == len(self.tokens), "latents and captions belong together"

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, index: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, C, h, w) and token ids (B, L) of the samples in `index`."""
        z = self.views[mirrored.numpy(), index.numpy()]
        return torch.from_numpy(z).float(), self.tokens[index]


def tokens(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token ids, padded to the tokenizer's window: (len(captions), L)."""
    return torch.tensor(tokenizer(captions, padding="max_length", truncation=True).input_ids)


def noised(z: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
    """z_t = sqrt(a_t) z + sqrt(1 - a_t) epsilon."""
    a = ALPHAS_CUMPROD.to(z.device)[t].view(-1, 1, 1, 1)
    return a.sqrt() * z + (1 - a).sqrt() * epsilon


class Networks(nn.Module):
    """The two trained networks as one module, so that weights, averages and checkpoints go together."""

    def __init__(self, start: Path) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel.from_pretrained(start / "unet", torch_dtype=torch.float32)
        self.text_encoder = CLIPTextModel.from_pretrained(start / "text_encoder", dtype=torch.float32)

    def forward(self, z_t: Tensor, t: Tensor, ids: Tensor) -> Tensor:
        """The predicted noise, like `z_t`."""
        return self.unet(z_t, t, self.text_encoder(ids).last_hidden_state).sample


def rate(step: int, args: argparse.Namespace) -> float:
    """The share of the learning rate at `step`: warm-up, constant, linear decay."""
    return min(1.0, (step + 1) / 100, max(0.0, (args.steps - step) / max(args.decay, 1)))


def error_of(networks: Networks, z: Tensor, ids: Tensor, epsilon: Tensor, t: Tensor, args: argparse.Namespace) -> Tensor:
    """Mean squared error of each sample's noise, (B,), on the device."""
    z, ids, epsilon, t = (part.to(args.device, non_blocking=True) for part in (z, ids, epsilon, t))
    with torch.autocast(z.device.type, torch.bfloat16, enabled=args.bf16):
        prediction = networks(noised(z, epsilon, t), t, ids)
    return (prediction.float() - epsilon).pow(2).mean((1, 2, 3))


@torch.no_grad()
def validation(networks: Networks, held: Latents, args: argparse.Namespace) -> float:
    """Mean squared error of the noise on held-out scenes, at fixed steps and noise."""
    networks.eval()
    count = min(HELD_OUT, len(held))
    z, ids = held.batch(torch.arange(count), torch.zeros(count, dtype=torch.long))
    t = torch.linspace(10, 990, count).long()[torch.randperm(count, generator=generator(1, "validation"))]
    epsilon = keyed_noise(tuple(z.shape), 1, "validation-noise")
    parts = (slice(i, i + 32) for i in range(0, count, 32))
    total = sum(error_of(networks, z[s], ids[s], epsilon[s], t[s], args).sum().item() for s in parts)
    networks.train()
    return total / count


def loss_of(networks: Networks, data: Latents, empty: Tensor, step: int, args: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """The weighted loss of one step and its plain mean squared error."""
    g, count = generator(args.seed, "base", step), args.batch
    index = torch.randint(len(data), (count,), generator=g)
    z, ids = data.batch(index, torch.randint(2, (count,), generator=g))
    ids = torch.where(torch.rand(count, 1, generator=g) < 0.1, empty, ids)
    epsilon, t = torch.randn(z.shape, generator=g), torch.randint(1000, (count,), generator=g)
    error = error_of(networks, z, ids, epsilon, t, args)
    snr = (ALPHAS_CUMPROD[t] / (1 - ALPHAS_CUMPROD[t])).to(error)
    return (error * snr.clamp(max=5) / snr).mean() * 1.5, error.mean().detach()


def save(path: Path, state: dict[str, object]) -> None:
    """Write a checkpoint whole or not at all."""
    torch.save(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def train(args: argparse.Namespace) -> None:
    """The run: resume, step, average, validate, save."""
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = CLIPTokenizer.from_pretrained(args.start / "tokenizer")
    data, held = Latents(args.data / "train", tokenizer), Latents(args.data / "held", tokenizer)
    empty, networks = tokens(tokenizer, [""]), Networks(args.start).to(args.device)
    average = copy.deepcopy(networks).requires_grad_(False)
    optimizer = build_optimizer(networks, args.optimizer, args.lr, 0.01)
    step, seconds, running = 0, 0.0, None
    checkpoint = args.out / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location=args.device)
        networks.load_state_dict(state["networks"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds, running = state["step"], state["seconds"], state["running"]
    started = saved_at = time.monotonic()
    print(f"{len(data)} samples in two views, from step {step} to {args.steps}", flush=True)

    def keep() -> None:
        save(
            checkpoint,
            {
                "networks": networks.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step,
                "seconds": seconds + time.monotonic() - started,
                "running": running,
            },
        )

    while step < args.steps:
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * rate(step, args)
        loss, error = loss_of(networks, data, empty, step, args)
        loss.backward()
        nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        running = error.item() if running is None else 0.98 * running + 0.02 * error.item()
        decay = min(args.average, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(average.parameters()), list(networks.parameters()), 1 - decay)
        if step % args.every == 0 or step == args.steps:
            row = {
                "step": step,
                "samples": step * args.batch,
                "minutes": (seconds + time.monotonic() - started) / 60,
                "train": running,
                "held_out": validation(average, held, args),
            }
            with (args.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
        if time.monotonic() - saved_at > 150 or step == args.steps:
            keep()
            saved_at = time.monotonic()
    average.unet.save_pretrained(args.out / "unet")
    average.text_encoder.save_pretrained(args.out / "text_encoder")
    tokenizer.save_pretrained(args.out / "tokenizer")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--decay", type=int, default=0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--optimizer", choices=("adamw", "muon"), default="adamw")
    parser.add_argument("--average", type=float, default=0.998)
    parser.add_argument("--every", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="for a GPU; slower than float32 on a CPU at these sizes")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
