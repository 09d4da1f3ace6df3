"""Put a trained ControlNet into the package: half precision, named after the embedded base.

python experiments/tiny/ship.py --run RUN --out src/zeroconv/assets/tiny-canny
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from zeroconv.checkpoints import read_safetensors
from zeroconv.control import ControlNet


def main() -> None:
    """Convert and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--last", action="store_true", help="the newest network and not the best by the probe")
    args = parser.parse_args()
    network = ControlNet.from_pretrained(args.run)
    if args.last:
        tensors = read_safetensors(max((args.run / "state").glob("step-*.safetensors")))
        network.load_state_dict({k.removeprefix("network."): t for k, t in tensors.items() if k.startswith("network.")})
    network.config = replace(network.config, base="tiny")
    network.save_pretrained(args.out, torch.float16)
    size = sum(path.stat().st_size for path in args.out.iterdir())
    print(f"{args.out}: {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
