"""Train the tiny CLIP, which tells how well a picture of the tiny world fits a caption: what `open_clip("tiny-clip")` opens.

    python -m experiments.tiny.captioned --out DATA --count 10000
    python -m experiments.tiny.train_clip --data DATA --out RUN --minutes 25
    cp RUN/tiny-clip/* src/zeroconv/assets/tiny-clip/

Hardware: one thread of a CPU. A CLIP of transformers, 640,000 parameters: a transformer of 4 layers on 8 x 8 patches of 16
pixels, one of 3 layers on the tokens of the tiny base, both projected to 64 numbers, and the symmetric cross-entropy of A.
Radford et al., 2021, https://arxiv.org/abs/2103.00020. Captions that are equal are no negatives of each other. Pictures are
mirrored, shifted, blurred, noised and recoloured a little, because those to be judged come from a small generator; of the
four captions of a scene one is drawn.
Restartable: the same command goes on from RUN's checkpoint; the minutes count over all its starts. Batch, captions and
disturbances of step i come from a generator keyed by (seed, i) alone. Measured on held-out scenes: how often a caption is
the nearest of a hundred to its picture, and the picture the nearest to its caption: .896 and .886 after 690 steps of 128
pairs on 5,500 scenes, which is what the embedded weights give.
"""

import argparse
import json
import math
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from zeroconv.checkpoints import resolve
from zeroconv.evaluation.features.clip import open_clip
from zeroconv.metrics.image_text import retrieval_accuracy
from zeroconv.training.optimization.optimizer import new_optimizer

SIDE = 128
AMONG = 100  # scenes among which a caption is looked for
SHIFT = 8  # pixels at most
WARM_UP = 50  # steps
AVERAGE = 0.99
LOGIT_SCALE_LIMIT = math.log(100)  # as in the paper
VISION = {"hidden_size": 96, "intermediate_size": 288, "num_hidden_layers": 4, "image_size": SIDE, "patch_size": 16}
TEXT = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 3}
PROJECTION = 64
PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor", "do_resize": True, "do_center_crop": True, "do_normalize": True,
    "size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}, "resample": 3,
    "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
}  # fmt: skip


@dataclass
class Scenes:
    """Pictures with several captions each, and the numbers of equal captions."""

    rgb: np.ndarray  # (N, 128, 128, 3) uint8
    captions: np.ndarray  # (N, K) texts
    tokens: Tensor  # (N, K, L)
    texts: Tensor  # (N, K): equal captions have equal numbers

    @classmethod
    def read(cls, folder: Path, tokenizer: CLIPTokenizer) -> "Scenes":
        """All shards of a folder of `captioned.py`."""
        shards = [np.load(path) for path in sorted(folder.glob("*.npz")) if path.stem.isdigit()]
        if not shards:
            raise SystemExit(f"no shards in {folder}: run experiments.tiny.captioned first")
        captions = np.concatenate([shard["captions"] for shard in shards])
        listed = tokenizer([str(one) for one in captions.ravel()], padding="max_length", truncation=True).input_ids
        _, numbers = np.unique(captions, return_inverse=True)
        tokens, texts = torch.tensor(listed), torch.from_numpy(numbers)
        rgb = np.concatenate([shard["rgb"] for shard in shards])
        return cls(rgb, captions, tokens.view(*captions.shape, -1), texts.view(captions.shape))

    def batch(self, size: int, rng: np.random.Generator, padding: int) -> tuple[Tensor, Tensor, Tensor]:
        """Disturbed pictures (B, 3, 128, 128) in [-1, 1], token ids (B, L) and numbers of the captions (B,)."""
        index = rng.choice(len(self.rgb), min(size, len(self.rgb)), replace=False)
        chosen = rng.integers(0, self.captions.shape[1], len(index))
        images = torch.from_numpy(self.rgb[index]).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        tokens = self.tokens[index, chosen]
        longest = int((tokens != padding).sum(1).max()) + 1  # with one mark of the end, behind which nothing is seen
        return disturb(images, rng), tokens[:, :longest], self.texts[index, chosen]


def disturb(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirror half of the pictures, shift and blur the batch, recolour each a little, add noise: (B, 3, 128, 128)."""
    count, (x, y), sigma = len(images), rng.integers(0, 2 * SHIFT + 1, 2), rng.uniform(0.05, 1.5)
    half = count // 2
    images = torch.cat([images[:half].flip(3), images[half:]])  # they stand in random order
    taps = np.exp(-0.5 * (np.arange(-2, 3) / sigma) ** 2)
    taps = (taps / taps.sum()).tolist()
    images = F.pad(images, (SHIFT + 2,) * 4, mode="replicate")[..., y : y + SIDE + 4, x : x + SIDE + 4]
    for axis in (2, 3):  # sums of shifted pictures: four times faster than a convolution by channel on a CPU
        images = sum(
            (images.narrow(axis, i, SIDE) * tap for i, tap in enumerate(taps[1:], 1)), images.narrow(axis, 0, SIDE) * taps[0]
        )

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, channels, 1, 1)).astype(np.float32))

    images = images * draw(0.8, 1.2) + draw(-0.15, 0.15) + draw(-0.08, 0.08, 3)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(int(rng.integers(2**62))))
    return images + noise * draw(0, 0.1)


def fresh_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """The network with random weights."""
    text = {
        **TEXT, "num_attention_heads": 4, "vocab_size": len(tokenizer), "max_position_embeddings": tokenizer.model_max_length,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    vision = {**VISION, "num_attention_heads": 4}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=PROJECTION))


def contrastive_loss(network: CLIPModel, images: Tensor, tokens: Tensor, texts: Tensor) -> Tensor:
    """Symmetric cross-entropy over the batch; other pictures with the same caption do not count as wrong."""
    seen = network(pixel_values=images, input_ids=tokens)
    similarity = seen.logits_per_image.float()  # (pictures, texts)
    twins = (texts[:, None] == texts[None]) & ~torch.eye(len(texts), dtype=torch.bool)
    similarity = similarity.masked_fill(twins, -torch.inf)
    own = torch.arange(len(texts))
    return (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2


class Run:
    """The network, its average, the optimizer, and how long they have been at it."""

    def __init__(self, args: argparse.Namespace, tokenizer: CLIPTokenizer) -> None:
        torch.manual_seed(args.seed)
        self.args, self.started, self.step, self.before = args, time.monotonic(), 0, 0.0
        self.network = fresh_clip(tokenizer)
        self.average = torch.optim.swa_utils.AveragedModel(
            self.network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE)
        )
        self.optimizer = new_optimizer(self.network, "muon", args.rate, 0.05)
        self.checkpoint: Path = args.out / "checkpoint.pt"
        if self.checkpoint.exists():
            state = torch.load(self.checkpoint, weights_only=True)
            for part in ("network", "average", "optimizer"):
                getattr(self, part).load_state_dict(state[part])
            self.step, self.before = state["step"], state["seconds"]

    @property
    def share(self) -> float:
        """How much of the time is over, [0, 1]."""
        return min((self.before + time.monotonic() - self.started) / (60 * self.args.minutes), 1.0)

    def update(self, data: Scenes, padding: int) -> float:
        """One optimizer step, and the average; the loss."""
        rng = np.random.default_rng([self.args.seed, self.step])
        rate = min(1, (self.step + 1) / WARM_UP) * max(0.02, 0.5 * (1 + math.cos(math.pi * self.share)))
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_lr"] * rate
        loss = contrastive_loss(self.network, *data.batch(self.args.batch, rng, padding))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            self.network.logit_scale.clamp_(max=LOGIT_SCALE_LIMIT)
        self.average.update_parameters(self.network)
        self.step += 1
        return loss.item()

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        parts = {part: getattr(self, part).state_dict() for part in ("network", "average", "optimizer")}
        seconds = self.before + time.monotonic() - self.started
        torch.save({**parts, "step": self.step, "seconds": seconds}, self.checkpoint.with_suffix(".part"))
        os.replace(self.checkpoint.with_suffix(".part"), self.checkpoint)

    def export(self, tokenizer: CLIPTokenizer) -> Path:
        """The averaged network in half precision and the tiny base's tokenizer, in the layout of transformers."""
        folder, network = self.args.out / "tiny-clip", fresh_clip(tokenizer)
        network.load_state_dict(self.average.module.state_dict())
        network.half().save_pretrained(folder)
        shutil.copytree(resolve("tiny", "base") / "tokenizer", folder, dirs_exist_ok=True)
        (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n", "utf-8")
        return folder


def measure(folder: Path, held: Scenes) -> dict[str, float]:
    """Retrieval among 100 held-out scenes, the mean over groups of them, by the code that judges pictures."""
    from PIL import Image

    clip = open_clip(folder)
    images = clip.extract([Image.fromarray(rgb) for rgb in held.rgb])
    texts = clip.extract_texts([str(captions[0]) for captions in held.captions])
    groups = [slice(first, first + AMONG) for first in range(0, len(images) - AMONG + 1, AMONG)]
    found = np.mean([retrieval_accuracy(images[group], texts[group]) for group in groups], axis=0)
    return {"scenes": AMONG * len(groups), "caption_of_picture": float(found[0]), "picture_of_caption": float(found[1])}


def train(args: argparse.Namespace) -> dict[str, float]:
    """The run: resume, step, measure, save, until the time is over; what it has reached."""
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = CLIPTokenizer.from_pretrained(resolve("tiny", "base") / "tokenizer")
    data, held = (Scenes.read(args.data / part, tokenizer) for part in ("train", "held"))
    run, padding = Run(args, tokenizer), int(tokenizer.pad_token_id)
    print(f"{len(data.rgb)} scenes, from step {run.step}", flush=True)
    saved = time.monotonic()
    while run.share < 1:
        loss = run.update(data, padding)
        if run.step % 20 == 0:
            print(f"step {run.step:5d}  loss {loss:.3f}  {run.share:.0%}", flush=True)
        if time.monotonic() - saved > 60 * args.every:
            run.save()
            print(json.dumps(measure(run.export(tokenizer), held)), flush=True)
            saved = time.monotonic()
    run.save()
    result = {**measure(run.export(tokenizer), held), "steps": run.step, "train_scenes": len(data.rgb)}
    (args.out / "result.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return result


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of experiments.tiny.captioned")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=1e-3, help="of AdamW; Muon's is ten times as high")
    parser.add_argument("--every", type=float, default=4, help="minutes between measures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    print(json.dumps(train(parser.parse_args())))


if __name__ == "__main__":
    main()
