"""The random weights of the authors' reduced network, drawn again from their seed: no 5.8 MB of noise in the repository.

They were drawn by torch's generator in the order in which the authors' modules register their parameters, in float32, and
rounded to half precision. Sines and logarithms in float32 differ in the last bit from processor to processor, so here the same
uniform numbers become normal ones in float64, and `numbers.safetensors` names the 1,896 of 2.9 million halves that this rounds
to a neighbour. A digest over names and bytes says whether the file is the one that the numbers were computed from.
"""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors.torch import save_file
from torch import Generator, Tensor

from zeroconv.checkpoints import read_safetensors

SEED, SHA256 = 2302, "107fea4acf95ccc3f2dc2592bd0fb3e2dac408a2b840fadfcd91a1dfba65c484"
WIDTH, TEXT, LATENT, TIME = 32, 24, 4, 128
LEVELS = (1, 1, 1, 2)
HINT = ((3, 16), (16, 16), (16, 32), (32, 32), (32, 96), (96, 96), (96, 256), (256, WIDTH))
STARTED_AT_ZERO = (".out_layers.3.", ".proj_out.", ".zero_convs.", ".input_hint_block.14.", ".middle_block_out.", ".out.2.")
"""What the authors' `zero_module` covers: drawn at 0.7 of the others' size."""

Named: TypeAlias = Iterator[tuple[str, tuple[int, ...]]]


def layer(name: str, *shape: int, bias: bool = True) -> Named:
    yield f"{name}.weight", shape
    if bias:
        yield f"{name}.bias", shape[:1]


def resnet(name: str, inputs: int, outputs: int) -> Named:
    yield from layer(f"{name}.in_layers.0", inputs)
    yield from layer(f"{name}.in_layers.2", outputs, inputs, 3, 3)
    yield from layer(f"{name}.emb_layers.1", outputs, TIME)
    yield from layer(f"{name}.out_layers.0", outputs)
    yield from layer(f"{name}.out_layers.3", outputs, outputs, 3, 3)
    if inputs != outputs:
        yield from layer(f"{name}.skip_connection", outputs, inputs, 1, 1)


def attention(name: str, width: int, context: int) -> Named:
    for part, inputs in (("to_q", width), ("to_k", context), ("to_v", context)):
        yield from layer(f"{name}.{part}", width, inputs, bias=False)
    yield from layer(f"{name}.to_out.0", width, width)


def transformer(name: str, width: int) -> Named:
    block = f"{name}.transformer_blocks.0"
    yield from layer(f"{name}.norm", width)
    yield from layer(f"{name}.proj_in", width, width, 1, 1)
    yield from attention(f"{block}.attn1", width, width)
    yield from layer(f"{block}.ff.net.0.proj", 8 * width, width)
    yield from layer(f"{block}.ff.net.2", width, 4 * width)
    yield from attention(f"{block}.attn2", width, TEXT)
    for norm in ("norm1", "norm2", "norm3"):
        yield from layer(f"{block}.{norm}", width)
    yield from layer(f"{name}.proj_out", width, width, 1, 1)


def time_embedding(name: str) -> Named:
    yield from layer(f"{name}.time_embed.0", TIME, WIDTH)
    yield from layer(f"{name}.time_embed.2", TIME, TIME)


def encoder(name: str, skips: list[int]) -> Named:
    """The twelve encoder blocks.

    Args:
        name: in front of every parameter.
        skips: receives the width of each block's output.
    """
    yield from layer(f"{name}.input_blocks.0.0", WIDTH, LATENT, 3, 3)
    skips.append(WIDTH)
    for level, factor in enumerate(LEVELS):
        for _ in range(2):
            block, width = f"{name}.input_blocks.{len(skips)}", factor * WIDTH
            yield from resnet(f"{block}.0", skips[-1], width)
            if level < 3:
                yield from transformer(f"{block}.1", width)
            skips.append(width)
        if level < 3:
            yield from layer(f"{name}.input_blocks.{len(skips)}.0.op", skips[-1], skips[-1], 3, 3)
            skips.append(skips[-1])


def middle(name: str, width: int) -> Named:
    yield from resnet(f"{name}.middle_block.0", width, width)
    yield from transformer(f"{name}.middle_block.1", width)
    yield from resnet(f"{name}.middle_block.2", width, width)


def decoder(name: str, skips: list[int]) -> Named:
    inputs, index = skips[-1], 0
    for level in (3, 2, 1, 0):
        for place in range(3):
            block, width = f"{name}.output_blocks.{index}", LEVELS[level] * WIDTH
            yield from resnet(f"{block}.0", inputs + skips[-1 - index], width)
            if level < 3:
                yield from transformer(f"{block}.1", width)
            if level and place == 2:
                yield from layer(f"{block}.{1 if level == 3 else 2}.conv", width, width, 3, 3)
            inputs, index = width, index + 1


def parameters() -> Named:
    """Names and shapes of the authors' ControlNet and U-Net, in the order in which their modules register them."""
    copied: list[int] = []
    name = "control_model"
    yield from time_embedding(name)
    yield from encoder(name, copied)
    for index, width in enumerate(copied):
        yield from layer(f"{name}.zero_convs.{index}.0", width, width, 1, 1)
    for index, (inputs, outputs) in enumerate(HINT):
        yield from layer(f"{name}.input_hint_block.{2 * index}", outputs, inputs, 3, 3)
    yield from middle(name, copied[-1])
    yield from layer(f"{name}.middle_block_out.0", copied[-1], copied[-1], 1, 1)
    skips: list[int] = []
    name = "model.diffusion_model"
    yield from time_embedding(name)
    yield from encoder(name, skips)
    yield from middle(name, skips[-1])
    yield from decoder(name, skips)
    yield from layer(f"{name}.out.0", WIDTH)
    yield from layer(f"{name}.out.2", LATENT, WIDTH, 3, 3)


def normal(count: int, generator: Generator) -> Tensor:
    """What `torch.randn` draws on a CPU, in float64: pairs of uniform numbers eight apart, the last sixteen drawn anew."""
    if count < 16:
        return torch.randn(count, generator=generator).double()
    uniform, whole = torch.rand(count, generator=generator), count // 16 * 16
    drawn = torch.empty(count, dtype=torch.float64)
    drawn[:whole] = box_muller(uniform[:whole])
    if count > whole:
        drawn[-16:] = box_muller(torch.rand(16, generator=generator))
    return drawn


def box_muller(uniform: Tensor) -> Tensor:
    first, second = uniform.double().view(-1, 2, 8).unbind(1)
    radius, angle = torch.sqrt(-2 * torch.log(1 - first)), 2 * math.pi * second
    return torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], 1).flatten()


def draw(numbers: Path) -> dict[str, Tensor]:
    """All weights, float16.

    Args:
        numbers: `numbers.safetensors`, for the halves that another rounding gave.

    Raises:
        AssertionError: if they are not those that the numbers were computed from.
    """
    generator, drawn = Generator().manual_seed(SEED), dict[str, Tensor]()
    for name, shape in parameters():
        values = normal(math.prod(shape), generator).view(shape)
        if len(shape) > 1:
            values *= (0.7 if any(part in f".{name}" for part in STARTED_AT_ZERO) else 1.0) / math.sqrt(math.prod(shape[1:]))
        else:
            values = 0.1 * values if name.endswith(".bias") else 1 + 0.2 * values
        drawn[name] = values.half()
    flat = torch.cat([tensor.flatten() for tensor in drawn.values()])
    stored = read_safetensors(numbers)
    flat[stored["rounded.index"].long()] = stored["rounded.value"]
    pieces = flat.split([tensor.numel() for tensor in drawn.values()])
    made = {name: piece.view(drawn[name].shape).clone() for name, piece in zip(drawn, pieces, strict=True)}
    found = digest(made)
    assert found == SHA256, f"the weights drawn have the digest {found}, expected {SHA256}: does torch draw in another way now?"
    return made


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes, by name."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tuple(tensor.shape)}".encode())
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def write(path: Path, numbers: Path) -> Path:
    """The weights as a file in the layout of `control_sd15_*.pth`."""
    save_file(draw(numbers), path)
    return path
