"""Train the U-Net and the text encoder of the tiny base together, on cached latents, by the clock.

    python -m experiments.tiny.train_base --data DATA --start START --out RUN --until 02:10 --decay 30
    python -m experiments.tiny.train_base --data DATA --start START --out RUN --minutes 9 --decay 2 --batch 512 --device cuda

DATA holds the shards of `prepare.py` (`*.npz` with captions, `*.latents.npy`) in `train/` and `held/`; new ones are read
as they come. START is a diffusers folder with `unet`, `text_encoder` and `tokenizer`: the last tiny base, or a fresh one
from `fresh_base.py`. The same command resumes from RUN's checkpoint; a file RUN/until overrides `--until`.

Objective: epsilon prediction, 10 % of the prompts emptied. Steps t are drawn, stratified over the batch, with density
min(5 / SNR, 1) / sqrt(alpha) (the weights of Hang et al., 2023, arXiv 2303.09556, with more of the late steps), so the
error needs no weights. Muon; warm-up, constant rate, linear decay to zero over the last `--decay` minutes. A working
copy computes in the type and layout that are fastest here (`working_copy.py`). Weights are averaged over two
lengths; at the end RUN/best holds, in half precision, whichever of the raw and the averaged weights is best on held-out
scenes. Each row of RUN/curve.jsonl has the held-out error of each, in all and for t < 200, < 500 and above.
"""

import argparse
import copy
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from experiments.tiny.working_copy import fastest, write_out_attention
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from zeroconv.diffusion.randomness import generator, keyed_noise
from zeroconv.training.optimization.optimizer import new_optimizer

SCHEDULE = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False)
ALPHAS_CUMPROD = SCHEDULE.alphas_cumprod
SNR = ALPHAS_CUMPROD / (1 - ALPHAS_CUMPROD)
DENSITY = (5 / SNR).clamp(max=1) * ALPHAS_CUMPROD.pow(-0.5).clamp(max=4)
HELD_OUT = 256  # scenes of the validation error
THIRDS = ((0, 200), (200, 500), (500, 1000))
AVERAGES = (0.998, 0.9995)
WARM_UP = 50  # steps
Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Latents, token ids, noise and steps."""


class Latents:
    """Cached latents with their token ids, two views (as it is, mirrored) each; shards may come while it is used."""

    def __init__(self, folder: Path, tokenizer: CLIPTokenizer) -> None:
        self.folder, self.tokenizer = folder, tokenizer
        self.seen: set[str] = set()
        self.views, self.tokens = list[Tensor](), list[Tensor]()
        if not self.refresh():
            raise SystemExit(f"no *.latents.npy in {folder}: run experiments.tiny.prepare first")
        self.shard = len(self.tokens[0])

    def refresh(self) -> bool:
        """Read the shards that are new; whether there were any."""
        paths = [path for path in sorted(self.folder.glob("*.npz")) if path.stem.isdigit() and path.name not in self.seen]
        for path in paths:
            captions = [str(caption) for caption in np.load(path)["captions"]]
            self.views.append(torch.from_numpy(np.load(path.with_suffix(".latents.npy"))))  # (2, N, C, h, w) float16
            self.tokens.append(tokens(self.tokenizer, captions))
            self.seen.add(path.name)
        return bool(paths)

    def __len__(self) -> int:
        return self.shard * len(self.tokens)

    def batch(self, index: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, C, h, w) and token ids (B, L) of the samples in `index`."""
        places = [(i // self.shard, i % self.shard) for i in index.tolist()]
        z = torch.stack([self.views[s][m, i] for (s, i), m in zip(places, mirrored.tolist(), strict=True)])
        return z.float(), torch.stack([self.tokens[s][i] for s, i in places])


def tokens(tokenizer: CLIPTokenizer, captions: list[str]) -> Tensor:
    """Token ids, padded to the tokenizer's window: (len(captions), L)."""
    return torch.tensor(tokenizer(captions, padding="max_length", truncation=True).input_ids)


class Networks(nn.Module):
    """The two trained networks as one module, so that weights, averages and checkpoints go together."""

    def __init__(self, start: Path) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel.from_pretrained(start / "unet", torch_dtype=torch.float32)
        self.text_encoder = CLIPTextModel.from_pretrained(start / "text_encoder", dtype=torch.float32)

    def forward(self, z_t: Tensor, t: Tensor, ids: Tensor) -> Tensor:
        """The predicted noise, like `z_t`, in the networks' type."""
        z_t = z_t.to(self.unet.dtype)
        return self.unet(z_t, t, self.text_encoder(ids).last_hidden_state).sample


class Clock:
    """How long there is, and the share of the learning rate that belongs to it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.decay, self.file = args.decay, args.out / "until"
        now = datetime.now(UTC)
        self.end = now + timedelta(minutes=args.minutes) if args.until is None else next_time(args.until, now)

    def left(self) -> float:
        """Minutes until the end; a file `until` with HH:MM moves it."""
        now = datetime.now(UTC)
        end = next_time(self.file.read_text("utf-8").strip(), now) if self.file.exists() else self.end
        return (end - now).total_seconds() / 60

    def rate(self, step: int) -> float:
        """The share of the learning rate at `step`: warm-up, constant, linear decay."""
        return min(1.0, (step + 1) / WARM_UP, max(0.0, self.left() / max(self.decay, 1e-6)))


def next_time(text: str, now: datetime) -> datetime:
    """HH:MM (UTC) nearest to now: of the day before, today or tomorrow."""
    hour, minute = (int(part) for part in text.split(":"))
    today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return min((today + timedelta(days=days) for days in (-1, 0, 1)), key=lambda time: abs(time - now))


def noised(z: Tensor, epsilon: Tensor, t: Tensor) -> Tensor:
    """z_t = sqrt(a_t) z + sqrt(1 - a_t) epsilon."""
    a = ALPHAS_CUMPROD.to(z.device)[t].view(-1, 1, 1, 1)
    return a.sqrt() * z + (1 - a).sqrt() * epsilon


def errors(networks: nn.Module, z: Tensor, ids: Tensor, epsilon: Tensor, t: Tensor, device: str) -> Tensor:
    """Mean squared error of each sample's noise, (B,), on the device."""
    z, ids, epsilon, t = (part.to(device, non_blocking=True) for part in (z, ids, epsilon, t))
    return (networks(noised(z, epsilon, t), t, ids).float() - epsilon).pow(2).mean((1, 2, 3))


@torch.no_grad()
def validation(networks: Networks, held: Latents, device: str) -> list[float]:
    """Mean squared error of the noise on held-out scenes at fixed steps and noise: of all, and by thirds of t."""
    networks.eval()
    count = min(HELD_OUT, len(held))
    z, ids = held.batch(torch.arange(count), torch.zeros(count, dtype=torch.long))
    t = torch.linspace(10, 990, count).long()[torch.randperm(count, generator=generator(1, "validation"))]
    epsilon = keyed_noise(tuple(z.shape), 1, "validation-noise")
    parts = (slice(i, i + 32) for i in range(0, count, 32))
    found = torch.cat([errors(networks, z[s], ids[s], epsilon[s], t[s], device) for s in parts]).cpu()
    networks.train()
    thirds = (found[(t >= low) & (t < high)] for low, high in THIRDS)
    return [round(part.mean().item(), 5) for part in (found, *thirds)]


def draw_batch(data: Latents, empty: Tensor, step: int, args: argparse.Namespace) -> Batch:
    """Latents, token ids, noise and steps of one optimizer step, keyed by (seed, step)."""
    g, count = generator(args.seed, "base", step), args.batch
    z, ids = data.batch(torch.randint(len(data), (count,), generator=g), torch.randint(2, (count,), generator=g))
    ids = torch.where(torch.rand(count, 1, generator=g) < 0.1, empty, ids)
    epsilon = torch.randn(z.shape, generator=g)
    strata = (torch.arange(count) + torch.rand(count, generator=g)) / count
    t = torch.searchsorted((DENSITY / DENSITY.sum()).cumsum(0), strata).clamp(max=999)
    return z, ids, epsilon, t


class Run:
    """Networks, averages, optimizer and what they have seen."""

    def __init__(self, args: argparse.Namespace, batch: Batch) -> None:
        self.args, self.started = args, time.monotonic()
        networks = Networks(args.start)
        self.networks = (write_out_attention(networks) if args.device == "cpu" else networks).to(args.device)
        self.working = fastest(self.networks, lambda network: errors(network, *batch, args.device).mean(), args.device)
        self.averages = {decay: copy.deepcopy(self.networks).requires_grad_(False) for decay in AVERAGES}
        self.optimizer = new_optimizer(self.networks, "muon", args.lr, 0.01)
        self.counts: dict[str, Any] = {"step": 0, "samples": 0, "seconds": 0.0, "train": None}
        self.checkpoint: Path = args.out / "checkpoint.pt"
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, weights_only=True, map_location=args.device)
            self.networks.load_state_dict(state["networks"])
            self.optimizer.load_state_dict(state["optimizer"])
            for decay, average in self.averages.items():
                average.load_state_dict(state["averages"][str(decay)])
            self.counts = state["counts"]
            self.working.refresh()

    @property
    def seconds(self) -> float:
        """Spent on all parts of the run."""
        return self.counts["seconds"] + time.monotonic() - self.started

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        averages = {str(decay): average.state_dict() for decay, average in self.averages.items()}
        state = {
            "networks": self.networks.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "averages": averages,
            "counts": {**self.counts, "seconds": self.seconds},
        }
        torch.save(state, self.checkpoint.with_suffix(".part"))
        os.replace(self.checkpoint.with_suffix(".part"), self.checkpoint)

    def update(self, batch: Batch, rate: float) -> None:
        """One optimizer step, and the averages."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_lr"] * rate
        error = errors(self.working.network, *batch, self.args.device).mean()
        (1.5 * error).backward()
        self.working.take_gradients()
        nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.working.refresh()
        counts, value = self.counts, error.item()
        counts["step"] += 1
        counts["samples"] += len(batch[0])
        counts["train"] = value if counts["train"] is None else 0.98 * counts["train"] + 0.02 * value
        for decay, average in self.averages.items() if counts["step"] % 4 == 0 else ():
            share = 1 - min(decay**4, counts["step"] / (counts["step"] + 40))  # at first the mean of all steps
            torch._foreach_lerp_(list(average.parameters()), list(self.networks.parameters()), share)

    def row(self, held: Latents, scenes: int, rate: float) -> dict[str, Any]:
        """Measure, and write a row of the curve."""
        candidates = {"raw": self.networks, **{str(decay): average for decay, average in self.averages.items()}}
        row = {
            "step": self.counts["step"],
            "samples": self.counts["samples"],
            "minutes": round(self.seconds / 60, 2),
            "train": self.counts["train"],
            "scenes": scenes,
            "rate": round(rate, 3),
            "held_out": {name: validation(network, held, self.args.device) for name, network in candidates.items()},
        }
        with (self.args.out / "curve.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        return row

    def export_best(self, held: Latents, tokenizer: CLIPTokenizer) -> None:
        """Write the best of raw and averaged weights, in half precision, to OUT/best, and its error to best.json."""
        found: list[tuple[float, str, Networks]] = []
        for name, network in (("raw", self.networks), *((f"average {d}", a) for d, a in self.averages.items())):
            rounded = copy.deepcopy(network).half().float()
            found.append((validation(rounded, held, self.args.device)[0], name, rounded))
        error, name, best = min(found, key=lambda item: item[0])
        best.unet.save_pretrained(self.args.out / "best" / "unet")
        best.text_encoder.save_pretrained(self.args.out / "best" / "text_encoder")
        tokenizer.save_pretrained(self.args.out / "best" / "tokenizer")
        told = {"held_out": error, "weights": name, "samples": self.counts["samples"], "minutes": round(self.seconds / 60, 1)}
        (self.args.out / "best.json").write_text(json.dumps(told, indent=2) + "\n", "utf-8")
        print(json.dumps(told), flush=True)


def train(args: argparse.Namespace) -> None:
    """The run: resume, step, measure, save, until the clock says stop."""
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = CLIPTokenizer.from_pretrained(args.start / "tokenizer")
    data, held = Latents(args.data / "train", tokenizer), Latents(args.data / "held", tokenizer)
    empty, clock = tokens(tokenizer, [""]), Clock(args)
    run = Run(args, draw_batch(data, empty, 0, args))
    print(f"{len(data)} scenes in two views, from step {run.counts['step']}, {clock.left():.0f} minutes left", flush=True)
    saved = measured = time.monotonic()
    while clock.left() > 0:
        step = run.counts["step"]
        if step % 100 == 0:
            data.refresh()
        run.update(draw_batch(data, empty, step, args), clock.rate(step))
        now = time.monotonic()
        if now - saved > 150:
            run.save()
            saved = now
        if now - measured > 60 * args.every:
            run.row(held, len(data), clock.rate(step))
            measured = now
    run.save()
    run.row(held, len(data), 0.0)
    run.export_best(held, tokenizer)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    end = parser.add_mutually_exclusive_group(required=True)
    end.add_argument("--until", help="HH:MM, UTC")
    end.add_argument("--minutes", type=float)
    parser.add_argument("--decay", type=float, default=30, help="minutes before the end in which the rate falls to zero")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=5e-4, help="of AdamW; Muon's is ten times as high")
    parser.add_argument("--every", type=float, default=10, help="minutes between rows of the curve")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
