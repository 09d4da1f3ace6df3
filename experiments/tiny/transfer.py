"""Reuse or transfer? A ControlNet on a base that was fine-tuned away from the one it was trained on.

    python experiments/tiny/transfer.py --out outputs/transfer

The tiny base is fine-tuned on the tiny world in other colours (red, green and blue exchanged), and looked at after
more and more steps. At each the embedded `tiny-canny` draws the same held-out scenes twice: as it is (plain reuse),
and moved by `ControlNet.transfer` (new = control + to - from). What comes out is a table of how far the encoder has
moved against the edge fidelity of both; the rules of thumb in `control/transfer.py` are read off it.
One slow core, about 5 minutes. One run (16 scenes, edge F1; at 0 % 0.30 without control and 0.57 with it):

    moved  without  reuse  transfer
      3 %    0.284  0.496     0.497
      6 %    0.252  0.478     0.473
      9 %    0.268  0.472     0.474
     17 %    0.284  0.484     0.494

With `--rate 3e-4` the base is still at 3 % after 150 steps, and nothing is lost beyond the noise (0.310, 0.562, 0.559). With
`--rate 3e-3` the base itself is wrecked (9 %: 0.274, 0.334, 0.329). Transfer and reuse do as well as each other throughout.
"""

import argparse
import copy
import json
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.nn import functional

from zeroconv import ControlNet, ControlPipeline, StableDiffusion
from zeroconv.control import encoder_shift
from zeroconv.data import Pairs, Subset, open_pairs
from zeroconv.diffusion.randomness import generator
from zeroconv.images import normalize, to_tensor
from zeroconv.training.parts import build_schedule
from zeroconv.training.probing.probe import Probe

BATCH = 4


def other_colours(image: Image.Image) -> Image.Image:
    """The same picture with red, green and blue exchanged: edges stay where they are."""
    red, green, blue = image.split()
    return Image.merge("RGB", (blue, red, green))


def samples_of(base: StableDiffusion, pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents (N, C, h, w) of the pictures in other colours, and the captions' text states (N, L, D)."""
    latents, text = [], []
    for pair in (pairs[i] for i in range(len(pairs))):
        latents.append(base.encode_images(normalize(to_tensor(other_colours(pair.image))[None])))
        text.append(base.encode_text([pair.caption]).hidden_states)
    return torch.cat(latents), torch.cat(text)


def fine_tune(base: StableDiffusion, unet: Any, pairs: Pairs, marks: list[int], rate: float) -> Any:
    """Train `unet` in place; yields at each of the marked steps."""
    latents, text = samples_of(base, pairs)
    schedule, optimizer = build_schedule(base), torch.optim.AdamW(unet.requires_grad_(True).parameters(), lr=rate)
    for step in range(max(marks)):
        drawn = generator(0, "fine-tune", step)
        chosen = torch.randint(len(latents), (BATCH,), generator=drawn)
        t = torch.randint(len(schedule), (BATCH,), generator=drawn)
        epsilon = torch.randn(BATCH, *latents.shape[1:], generator=drawn)
        z_t = schedule.add_noise(latents[chosen], epsilon, t)
        functional.mse_loss(unet(z_t, t, text[chosen]).sample, epsilon).backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step + 1 in marks:
            yield step + 1


def main() -> None:
    """Fine-tune, measure, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/transfer"))
    parser.add_argument("--marks", type=int, nargs="+", default=[10, 40, 120, 360], help="fine-tuning steps at which to look")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate of the fine-tuning")
    parser.add_argument("--scenes", type=int, default=16)
    args = parser.parse_args()
    original, community = (StableDiffusion.from_pretrained("tiny") for _ in range(2))
    community.unet = copy.deepcopy(original.unet)
    control = ControlNet.from_pretrained("tiny-canny")
    held = Subset(open_pairs("world:200@900000000", "canny"), range(args.scenes))
    probe = Probe(ControlPipeline(community), "canny", [held[i] for i in range(len(held))], steps=8, guidance_scale=4.0)
    rows, started = list[dict[str, float]](), time.monotonic()

    def look(step: int) -> None:
        networks = {"without": None, "reuse": control, "transfer": control.transfer(original, community)}
        measured = {name: probe.run(network).fidelity for name, network in networks.items()}
        rows.append({"steps": step, "moved": encoder_shift(original, community).total, **measured})
        print(" | ".join(f"{name} {value:.3f}" for name, value in rows[-1].items()), f"| {time.monotonic() - started:.0f} s")

    look(0)
    for step in fine_tune(original, community.unet, open_pairs("world:64@1000", "canny"), args.marks, args.rate):
        look(step)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "transfer.json").write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
