"""Opening a full-size SD 1.5 in one file against reading its bytes: time, peak memory, and no network.

    python benchmarks/loading.py

Writes a random checkpoint of 2 GB (float16, the original layout) into a temporary folder, then, in fresh processes that
take turns: reads its bytes; opens it as stored; opens it and touches every page; opens it in float32. Needs 3 GB of disk,
6 GB of memory and two minutes. Prints medians, and ratios to reading the bytes. Any attempt to reach the network fails.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TURNS = 3
WAYS = ("bytes", "stored", "touched", "float32")
TITLES = {
    "bytes": "read the bytes",
    "stored": "open, tensors as stored (dtype=None)",
    "touched": "the same, and touch every page",
    "float32": "open in float32 (the default)",
}


def write_checkpoint(path: Path) -> None:
    """A whole SD 1.5 with random numbers."""
    import torch

    from zeroconv.checkpoints import write_safetensors
    from zeroconv.checkpoints.architecture.families import FAMILIES
    from zeroconv.checkpoints.architecture.unet_shape import UNetShape
    from zeroconv.checkpoints.formats.single_file import UNET, VAE
    from zeroconv.checkpoints.keys import VaeShape, clip_table, unet_table, vae_table

    family = FAMILIES["sd15"]
    topology, vae = (
        UNetShape(4, 4, (320, 640, 1280, 1280), 2, (1, 1, 1, 0), 1, 768, False, None),
        VaeShape((128, 256, 512, 512), 2, 4),
    )
    shapes: dict[str, tuple[int, ...]] = {}
    for table, prefix, network in (
        (unet_table(topology), UNET, unet_shapes(topology)),
        (vae_table(vae), VAE, vae_shapes(vae)),
        (clip_table(12), family.text_encoders[0].prefix, text_shapes()),
    ):
        hollow = {name: torch.empty(shape, device="meta") for name, shape in network.items()}
        shapes |= {prefix + name: tuple(tensor.shape) for name, tensor in table.to_theirs(hollow).items()}
    generator = torch.Generator().manual_seed(0)
    row = torch.randn(2**20, generator=generator).half()
    tensors: dict[str, Any] = {}
    for name, shape in shapes.items():
        size = torch.Size(shape).numel()
        tensors[name] = row.repeat(1 + size // len(row))[:size].view(shape).clone()
    write_safetensors(path, tensors)


def unet_shapes(topology: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of the U-Net, from diffusers."""
    import torch
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    from zeroconv.checkpoints.formats.configs import unet_config

    with torch.device("meta"):
        return shapes_of(UNet2DConditionModel.from_config(unet_config(topology)))


def vae_shapes(shape: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of the autoencoder, from diffusers."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    from zeroconv.checkpoints.architecture.families import FAMILIES
    from zeroconv.checkpoints.formats.configs import vae_config

    with torch.device("meta"):
        return shapes_of(AutoencoderKL.from_config(vae_config(shape, FAMILIES["sd15"])))


def text_shapes() -> dict[str, tuple[int, ...]]:
    """Shapes of CLIP ViT-L's text encoder, from transformers."""
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        return shapes_of(CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12)))


def shapes_of(network: Any) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a network."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def no_network(event: str, arguments: Any) -> None:
    """Refuse to go out."""
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise AssertionError(f"{event} {arguments}")


def memory() -> dict[str, int]:
    """Memory of this process in bytes: anonymous now, resident at its peak."""
    lines = (line.split() for line in Path("/proc/self/status").read_text("utf-8").splitlines())
    found = {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) == 3 and words[2] == "kB"}
    return {"own": found["RssAnon"], "peak": found["VmHWM"]}


def measure(way: str, path: Path) -> dict[str, float]:
    """Time and memory of one way, after everything is imported and warm."""
    from zeroconv import StableDiffusion

    StableDiffusion.from_pretrained("tiny", dtype=None)
    sys.addaudithook(no_network)
    Path("/proc/self/clear_refs").write_text("5", "utf-8")  # forget the peak
    before, started = memory(), time.perf_counter()
    kept: Any = path.read_bytes() if way == "bytes" else None
    if way != "bytes":
        import torch

        kept = StableDiffusion.from_pretrained(path, dtype=torch.float32 if way == "float32" else None)
        if way == "touched":
            for network in kept.networks:
                for tensor in network.state_dict().values():
                    tensor.view(torch.uint8).flatten()[::4096].sum() if tensor.is_contiguous() else tensor.float().sum()
    seconds, after = time.perf_counter() - started, memory()
    assert kept is not None
    return {"seconds": seconds, "peak": after["peak"] - before["own"], "own": after["own"] - before["own"]}


def main() -> None:
    """Measure all ways in turns and print the table."""
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random-sd15.safetensors"
        write_checkpoint(path)
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(TURNS):
            for way in WAYS:
                command = [sys.executable, __file__, way, str(path)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found[way].append(json.loads(done.stdout.splitlines()[-1]))
        size = path.stat().st_size
    middle = {way: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for way, runs in found.items()}
    print(f"{size / 1e9:.2f} GB, median of {TURNS} turns; the file is in the page cache")
    print(f"{'':40} {'seconds':>8} {'ratio':>6} {'peak GB':>8} {'ratio':>6} {'own GB':>7}")
    for way in WAYS:
        row, bytes_ = middle[way], middle["bytes"]
        print(
            f"{TITLES[way]:40} {row['seconds']:8.2f} {row['seconds'] / bytes_['seconds']:6.2f} {row['peak'] / 1e9:8.2f} "
            f"{row['peak'] / bytes_['peak']:6.2f} {row['own'] / 1e9:7.2f}"
        )


if __name__ == "__main__":
    main()
