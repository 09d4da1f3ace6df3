"""`zeroconv data prepare` on one core: pairs a second and bytes a pair, for the tiny base and for Stable Diffusion 1.5's size.

    python benchmarks/prepare.py                  both, in turns, 1 minute
    python benchmarks/prepare.py --pairs 64 8     of the tiny base, and of SD 1.5's

The encoders of SD 1.5's size have random weights: what they give means nothing, and costs the same. Pictures are JPEG
photographs in a folder (scenes of the tiny world, enlarged and with noise), with Canny maps of fixed thresholds. Each setting
is prepared in shards by one thread as every worker of `prepare` does it, the settings taking turns; then all rows are read
again, as training reads them. Seconds are the processor's, so other work on the machine counts little. Prints the parts of a
pair in seconds and bytes, ratios, and what a million pairs would take.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel

from zeroconv.data.prepared import PreparedCache
from zeroconv.data.prepared.encoders import AbsentUNet, hash_encoders, open_encoders, row_shapes
from zeroconv.data.prepared.maker import Done, ShardMaker
from zeroconv.data.prepared.manifest import Settings, write_manifest
from zeroconv.data.prepared.source import Source
from zeroconv.messages import listen
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.world import make

FIXED = {"low": 100, "high": 200}
MILLION = 1_000_000


@dataclass
class Setting:
    """A base and the pictures it encodes."""

    title: str
    base: StableDiffusion
    side: int
    pairs: int
    shard_size: int
    seconds: list[float] = field(default_factory=list[float])
    parts: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    sizes: dict[str, float] = field(default_factory=dict[str, float])
    read: float = 0


def sd15_encoders() -> StableDiffusion:
    """Autoencoder and text encoder of SD 1.5's size, random; the tokenizer is the tiny base's, padded to 77 tokens."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "scaling_factor": 0.18215}
    sizes |= {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    vae = AutoencoderKL(**sizes)
    text = CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12))
    tokenizer = open_encoders("tiny").tokenizer
    tokenizer.model_max_length = 77
    config = SimpleNamespace(in_channels=4, sample_size=64)
    return StableDiffusion(AbsentUNet(config, torch.device("cpu")), vae.eval(), text.eval(), tokenizer, {})


def write_photos(folder: Path, count: int, side: int) -> None:
    """Pictures with captions, as a folder with a list."""
    rng, lines = np.random.default_rng(0), list[str]()
    for number in range(count):
        scene = make(number)
        image = np.asarray(Image.fromarray(scene.rgb).resize((side, side), Image.Resampling.BICUBIC), float)
        noisy = (image + rng.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{number}.jpg", quality=92)
        lines.append(json.dumps({"file_name": f"{number}.jpg", "text": scene.caption}))
    (folder / "metadata.jsonl").write_text("\n".join(lines), "utf-8")


def maker_of(setting: Setting, pairs: Path, out: Path) -> ShardMaker:
    """What makes the shards of a setting, each of its parts timed."""
    out.mkdir()
    settings = Settings(
        source=str(pairs), pairs=setting.pairs, shard_size=setting.shard_size, size=(setting.side, setting.side),
        base=setting.title, vae=None, encoders=hash_encoders(setting.base),
        shapes=row_shapes(setting.base, (setting.side, setting.side)), condition="canny", extract=FIXED, maps=True,
    )  # fmt: skip
    maker = ShardMaker(settings, out)
    maker.base, maker.source = setting.base, Source(str(pairs), "canny")
    for owner, name, part in (
        (maker.source, "key", "hash the file"), (maker.source, "open", "open the picture"),
        (setting.base, "encode_images", "latents"), (setting.base, "encode_text", "text"), (maker, "map_of", "map"),
    ):  # fmt: skip
        setattr(owner, name, timed(getattr(owner, name), setting.parts, part))
    return maker


def timed(function: Any, parts: dict[str, float], part: str) -> Any:
    """A function whose time is added up."""

    def call(*arguments: Any) -> Any:
        begun = time.process_time()
        try:
            return function(*arguments)
        finally:
            parts[part] += time.process_time() - begun

    return call


def measure(settings: list[Setting], folder: Path) -> None:
    """Prepare all in turns, a shard at a time, and read them."""
    makers = list[ShardMaker]()
    for number, setting in enumerate(settings):
        pairs = folder / f"pairs-{number}"
        pairs.mkdir()
        write_photos(pairs, setting.pairs, setting.side)
        makers.append(maker_of(setting, pairs, folder / f"prepared-{number}"))
    entries: list[list[Any]] = [[] for _ in settings]
    for turn in range(max(maker.settings.shards for maker in makers)):
        for setting, maker, found in zip(settings, makers, entries, strict=True):
            if turn < maker.settings.shards:
                begun = time.process_time()
                *_, done = maker.make(turn)
                setting.seconds.append((time.process_time() - begun) / len(maker.settings.rows(turn)))
                assert isinstance(done, Done) and not done.entry.broken
                found.append(done.entry)
    for setting, maker, found in zip(settings, makers, entries, strict=True):
        write_manifest(maker.folder, maker.settings, found)
        cache, begun = PreparedCache(maker.folder), time.process_time()
        for index in range(setting.pairs):
            cache.read([index], [0])
            cache.read_map(index)
        setting.read = setting.pairs / (time.process_time() - begun)
        tensors = [cache.find(number * setting.shard_size)[0] for number in range(maker.settings.shards)]
        for name in ("latents", "text", "maps"):
            setting.sizes[name] = sum(one[name].nbytes for one in tensors) / setting.pairs
        setting.sizes["all files"] = sum(path.stat().st_size for path in maker.folder.iterdir()) / setting.pairs
        pictures = sum(path.stat().st_size for path in Path(maker.settings.source).glob("*.jpg"))
        setting.sizes["the picture"] = pictures / setting.pairs


def show(settings: list[Setting]) -> None:
    """Print the table."""
    first = settings[0]
    print(f"{'':34}" + "".join(f"{setting.title:>20}" for setting in settings) + f"{'ratio':>9}")
    rows: list[tuple[str, list[float]]] = []
    for part in first.parts:
        rows.append((f"{part} (ms a pair)", [1000 * one.parts[part] / one.pairs for one in settings]))
    rows.append(("all of a pair (ms, median shard)", [1000 * statistics.median(one.seconds) for one in settings]))
    rows.append(("pairs a second and core", [1 / statistics.median(one.seconds) for one in settings]))
    rows.append(("read again, pairs a second", [one.read for one in settings]))
    rows += [(f"{name} (kB a pair)", [one.sizes[name] / 1e3 for one in settings]) for name in first.sizes]
    rows.append(("a million pairs (core hours)", [MILLION * statistics.median(one.seconds) / 3600 for one in settings]))
    rows.append(("a million pairs (GB)", [MILLION * one.sizes["all files"] / 1e9 for one in settings]))
    for name, (one, other) in rows:
        print(f"{name:34}{one:>20,.2f}{other:>20,.2f}{other / one:>9.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs=2, type=int, default=[48, 4], metavar=("TINY", "SD15"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    with listen(lambda _: None), tempfile.TemporaryDirectory() as folder:
        tiny = Setting("tiny, 128 px", open_encoders("tiny"), 128, args.pairs[0], -(-args.pairs[0] // 3))
        sd15 = Setting("SD 1.5, 512 px", sd15_encoders(), 512, args.pairs[1], -(-args.pairs[1] // 3))
        measure([tiny, sd15], Path(folder))
        show([tiny, sd15])


if __name__ == "__main__":
    main()
