"""Distil the tiny base into a LoRA that makes a picture in four steps without guidance.

    python -m experiments.tiny.train_few_step --out RUN --minutes 60

The teacher is the base in ten steps of DPM-Solver++(2M) (Lu et al., 2022, arXiv 2211.01095) under guidance 4, with a map
of one of the package's ControlNets in half of the rows, on their conditional side alone. Of each of its trajectories all
points z_t and the end z_0 are kept, and the student learns z_0 of z_t in one evaluation:

    f(z_t, t) = (z_t - σ_t ε(z_t, t)) / α_t  →  z_0

That is the consistency function of Luo et al., *Latent Consistency Models*, 2023, arXiv 2310.04378, sampled as there
(`--sampler lcm`), but with the ends that the teacher reached for targets (Luhman and Luhman, 2021, arXiv 2101.02388)
in place of an average of itself one step nearer: there are no fifty steps for an error to travel through. The student
is the base with low-rank updates (LCM-LoRA, arXiv 2311.05556) in all its matrices; convolutions have theirs in three
parts (LoCon), which gives three times the rank for the same numbers.

Trajectories are made while training goes on, a group of 32 for every `--reuse` steps, from scenes that are rendered for
it; they lie in RUN/trajectories. Every draw is keyed by (seed, step), the same command goes on where it was, RUN/curve.jsonl
has the held-out error, and RUN/few-steps.safetensors the best of the averaged weights in half precision.
"""

import argparse
import copy
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from experiments.tiny.few_step_teacher import HALF, POINTS, ROWS, Group, Teacher
from experiments.tiny.working_copy import write_out_attention
from torch import Tensor, nn
from torch.func import functional_call

from zeroconv.checkpoints import write_safetensors
from zeroconv.control import ActiveControl, ControlledUNet
from zeroconv.diffusion.randomness import generator
from zeroconv.diffusion.schedule import NoiseSchedule

BATCH = 16  # its first half without a control, the second with one
AVERAGES = (0.98, 0.995)
WARM_UP = 20  # steps
HUBER = 0.03  # of latents of deviation 1: below it the loss is quadratic
HELD_OUT = -1  # the group of held-out scenes
HELD_OUT_POINTS = (0, 2, 5, 8)
RANK, RANK_3X3 = 5, 11


class LowRank(nn.Module):
    """Updates up · down of all matrices of a U-Net, up · mid · down of 3 x 3 kernels; nothing at initialisation."""

    def __init__(self, unet: nn.Module, seed: int) -> None:
        super().__init__()
        self.weights = {name: m.weight for name, m in unet.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
        self.factors = nn.ParameterDict()
        for name, weight in self.weights.items():
            (out, into), g = weight.shape[:2], generator(seed, "factors", name)
            rank = min(RANK_3X3 if weight.shape[-1] == 3 and weight.ndim == 4 else RANK, out // 2, into // 2)
            shapes = {"down": (rank, into), "mid": (rank, rank * 9), "up": (out, rank)}
            for role, shape in shapes.items():
                if role != "mid" or weight.shape[2:] == (3, 3):
                    self.factors[self.key(name, role)] = nn.Parameter(torch.zeros(shape))
                    if role != "up":
                        nn.init.orthogonal_(self.factors[self.key(name, role)], generator=g)

    @staticmethod
    def key(name: str, role: str) -> str:
        """A name without dots."""
        return f"lora_unet_{name.replace('.', '_')}|{role}"

    def merged(self) -> dict[str, Tensor]:
        """The updated weights, by their names in `ControlledUNet`."""
        found: dict[str, Tensor] = {}
        for name, weight in self.weights.items():
            down, up = self.factors[self.key(name, "down")], self.factors[self.key(name, "up")]
            delta = up @ down
            if self.key(name, "mid") in self.factors:
                mid = self.factors[self.key(name, "mid")].view(len(down), len(down), 9)
                delta = up @ torch.einsum("abk,bi->aik", mid, down).flatten(1)
            found[f"unet.{name}.weight"] = weight + delta.view(weight.shape)
        return found

    def tensors(self) -> dict[str, Tensor]:
        """As a LoRA's file holds them, by kohya's names."""
        found: dict[str, Tensor] = {}
        for name, weight in self.weights.items():
            for role in ("down", "mid", "up"):
                if (key := self.key(name, role)) in self.factors:
                    factor = self.factors[key].detach().half()
                    shape = (*factor.shape, 1, 1) if weight.ndim == 4 else factor.shape
                    shape = (len(factor), len(factor), 3, 3) if role == "mid" else shape
                    found[key.replace("|", ".lora_") + ".weight"] = factor.reshape(shape).clone()
        return found


@dataclass(frozen=True)
class Batch:
    """Samples: the second half is controlled; shapes as in `Group`, float32."""

    z: Tensor
    t: Tensor
    z_0: Tensor
    text: Tensor
    features: Tensor
    condition: str


def draw_batch(groups: list[Group], seed: int, step: int) -> Batch:
    """A batch, keyed by (seed, step): uncontrolled rows of all groups, controlled ones of one."""
    g, half = generator(seed, "batch", step), BATCH // 2
    index = torch.randint(len(groups), (BATCH,), generator=g)
    free, held = torch.randint(HALF, (half,), generator=g), torch.randperm(HALF, generator=g)[: BATCH - half]
    points = torch.randperm(2 * POINTS, generator=g)[:BATCH].remainder(POINTS)  # nearly as many of each
    one = groups[int(index[-1])]
    chosen = [groups[i] for i in index[:half].tolist()] + [one] * (BATCH - half)
    places = list(zip(chosen, points.tolist(), torch.cat([free, HALF + held]).tolist(), strict=True))
    z = torch.stack([group.z[point, row] for group, point, row in places]).float()
    t = torch.stack([group.t[point] for group, point, _ in places])
    z_0 = torch.stack([group.z_0[row] for group, _, row in places]).float()
    text = torch.stack([group.text[row] for group, _, row in places]).float()
    return Batch(z, t, z_0, text, one.features[held].float(), one.condition)


class Student:
    """The base with the updates that are learnt."""

    def __init__(self, teacher: Teacher) -> None:
        self.networks = teacher.networks
        self.unet = ControlledUNet(write_out_attention(copy.deepcopy(teacher.base.unet)))
        self.schedule = NoiseSchedule.scaled_linear()

    def errors(self, low_rank: LowRank, batch: Batch) -> Tensor:
        """Root mean squared error of z_0, (B,)."""
        control = ActiveControl(self.networks[batch.condition], batch.features, rows=slice(len(batch.z) // 2, None))
        epsilon = functional_call(self.unet, low_rank.merged(), (batch.z, batch.t, batch.text, [control]))
        signal, noise = self.schedule.signal_and_noise(batch.t, batch.z)
        apart = (batch.z - noise * epsilon) / signal - batch.z_0
        return (apart.pow(2).mean((1, 2, 3)) + HUBER**2).sqrt() - HUBER

    def loss(self, low_rank: LowRank, batch: Batch) -> Tensor:
        """The errors, those of noisier latents with less weight: what is noise there is amplified by σ / α."""
        signal, noise = self.schedule.signal_and_noise(batch.t, batch.z_0[:, 0, 0, 0])
        return (self.errors(low_rank, batch) * (signal / noise).sqrt()).mean()

    @torch.no_grad()
    def validation(self, low_rank: LowRank, held: Group) -> list[float]:
        """Mean error on held-out trajectories at some of their points, noisiest first."""
        z_0, text, features = held.z_0.float(), held.text.float(), held.features.float()
        found = list[float]()
        for point in HELD_OUT_POINTS:
            batch = Batch(held.z[point].float(), held.t[point].expand(ROWS), z_0, text, features, held.condition)
            found.append(round(self.errors(low_rank, batch).mean().item(), 4))
        return found


class Run:
    """The updates, their averages, the optimizer, and the time spent."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.started = args, time.monotonic()
        self.teacher = Teacher(args.out / "trajectories", args.seed, args.first)
        self.student = Student(self.teacher)
        self.low_rank = LowRank(self.teacher.base.unet, args.seed)
        self.averages = {decay: copy.deepcopy(self.low_rank).requires_grad_(False) for decay in AVERAGES}
        self.optimizer = torch.optim.AdamW(self.low_rank.parameters(), lr=args.lr, betas=(0.9, 0.99), weight_decay=0.0)
        self.step, self.before = 0, 0.0
        self.checkpoint: Path = args.out / "checkpoint.pt"
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, weights_only=True)
            self.low_rank.load_state_dict(state["low_rank"])
            self.optimizer.load_state_dict(state["optimizer"])
            for decay, average in self.averages.items():
                average.load_state_dict(state["averages"][str(decay)])
            self.step, self.before = state["step"], state["seconds"]

    @property
    def seconds(self) -> float:
        """Spent on all parts of the run."""
        return self.before + time.monotonic() - self.started

    @property
    def rate(self) -> float:
        """The share of the learning rate: warm-up, constant, linear decay over the last `--decay` minutes."""
        left = self.args.minutes - self.seconds / 60
        return min(1.0, (self.step + 1) / WARM_UP, max(0.0, left / self.args.decay))

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        averages = {str(decay): average.state_dict() for decay, average in self.averages.items()}
        state = {"low_rank": self.low_rank.state_dict(), "optimizer": self.optimizer.state_dict(), "averages": averages}
        torch.save({**state, "step": self.step, "seconds": self.seconds}, self.checkpoint.with_suffix(".part"))
        os.replace(self.checkpoint.with_suffix(".part"), self.checkpoint)

    def update(self, batch: Batch) -> float:
        """One optimizer step, and the averages; the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.args.lr * self.rate
        loss = self.student.loss(self.low_rank, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.low_rank.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        for decay, average in self.averages.items():
            share = 1 - min(decay, self.step / (self.step + 10))  # at first the mean of all steps
            torch._foreach_lerp_(list(average.parameters()), list(self.low_rank.parameters()), share)
        return loss.item()

    def measure(self, held: Group, loss: float, groups: int) -> None:
        """Write a row of the curve, and the best of the averaged weights."""
        candidates = {str(decay): average for decay, average in self.averages.items()}
        errors = {name: self.student.validation(one, held) for name, one in candidates.items()}
        row: dict[str, Any] = {"step": self.step, "minutes": round(self.seconds / 60, 2), "trajectories": groups * ROWS}
        row |= {"loss": round(loss, 4), "rate": round(self.rate, 3), "held_out": errors}
        with (self.args.out / "curve.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
        best = min(candidates, key=lambda name: sum(errors[name]))
        write_safetensors(self.args.out / "few-steps.safetensors", candidates[best].tensors())

    def fit(self) -> None:
        """Make trajectories, step, measure, save, until the time is over."""
        held = self.teacher.group(HELD_OUT)
        groups, running = list[Group](), 0.0
        saved = measured = time.monotonic()
        if self.step == 0:
            self.measure(held, 0.0, 0)
        while self.seconds < 60 * self.args.minutes:
            while len(groups) < self.args.begin + self.step // self.args.reuse:
                groups.append(self.teacher.group(len(groups)))
            loss = self.update(draw_batch(groups, self.args.seed, self.step))
            running = loss if running == 0.0 else 0.97 * running + 0.03 * loss
            now = time.monotonic()
            if now - saved > 120:
                self.save()
                saved = now
            if now - measured > 60 * self.args.every:
                self.measure(held, running, len(groups))
                measured = now
        self.save()
        self.measure(held, running, len(groups))


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60, help="of all parts of the run together")
    parser.add_argument("--decay", type=float, default=20, help="minutes before the end in which the rate falls to zero")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--reuse", type=int, default=12, help="steps for each new group of trajectories")
    parser.add_argument("--begin", type=int, default=4, help="groups with which training begins")
    parser.add_argument("--first", type=int, default=140_000, help="seed of the first scene")
    parser.add_argument("--every", type=float, default=5, help="minutes between rows of the curve")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    Run(args).fit()


if __name__ == "__main__":
    main()
