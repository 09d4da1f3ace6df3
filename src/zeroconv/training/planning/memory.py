"""The memory of a training step, counted in bytes of tensors, without computing one.

Weights and the optimizer's moments are sums over parameters. What a step needs beside them is found by running it on
the meta device, whose tensors have shapes and no contents, and by keeping account of every storage that is made and freed.
"""

import copy
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from diffusers.models.attention_processor import Attention as DiffusersAttention
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from zeroconv.control import ControlNet
from zeroconv.control.low_rank import lora_layers
from zeroconv.runtime.packed_modules import packed_bytes
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training.config.optimization import OptimizerName
from zeroconv.training.config.train_config import TrainConfig
from zeroconv.training.data.batches import Batch
from zeroconv.training.optimization.adamw8bit import moment_bytes
from zeroconv.training.optimization.optimizer import split_parameters
from zeroconv.training.parts import build_loss

__all__ = ["StepMemory", "estimate_memory", "optimizer_bytes", "sample_batch"]


@dataclass(frozen=True)
class StepMemory:
    """Bytes at the highest point of a step, beside the program itself (about half a gigabyte).

    Attributes:
        base: weights of the locked U-Net, packed ones too, of the autoencoder and of the text encoders.
        weights: of the network that learns, in float32.
        gradients: of them.
        optimizer: its moments.
        average: averaged weights, if the run keeps them.
        activations: whatever else the forward and backward pass have at their highest point, narrow copies of weights too.
    """

    base: int
    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(vars(self).values())


def estimate_memory(
    config: TrainConfig, base: StableDiffusion, network: ControlNet, optimizer: OptimizerName, size: tuple[int, int]
) -> StepMemory:
    """What a step of one process needs.

    Args:
        config: the settings.
        base: locked, as it is kept.
        network: that learns.
        optimizer: of its weights.
        size: width and height of the pictures in pixels.
    """
    weights = bytes_of(network.parameters())
    locked = sum(bytes_of([*one.parameters(), *one.buffers()]) for one in base.networks if one is not None)
    optimization = config.optimization
    locked += packed_bytes(base.unet) if optimization.pack_base else 0
    average = weights if optimization.ema_decay and not (optimization.ema_on_cpu and optimization.device != "cpu") else 0
    peak = step_peak(config, base, network, size)
    return StepMemory(locked, weights, weights, optimizer_bytes(network, optimizer), average, max(peak - weights, 0))


def bytes_of(tensors: Any) -> int:
    """Bytes of tensors, each storage once."""
    return sum({identity(tensor.untyped_storage()): tensor.nbytes for tensor in tensors}.values())


def identity(storage: torch.UntypedStorage) -> int:
    """The same number for all Python objects of one storage, which on the meta device has no place in memory."""
    return storage._cdata  # pyright: ignore[reportPrivateUsage]


def optimizer_bytes(network: nn.Module, name: OptimizerName) -> int:
    """Bytes of the moments of an optimizer."""
    if name == "adamw8bit":
        return 2 * sum(moment_bytes(p) for p in network.parameters())
    if name == "muon":
        matrices, rest = split_parameters(network)
        return bytes_of(matrices) + 2 * bytes_of(rest)
    return {"adamw": 2, "prodigy": 4}[name] * bytes_of(network.parameters())


def step_peak(config: TrainConfig, base: StableDiffusion, network: ControlNet, size: tuple[int, int]) -> int:
    """The most bytes that forward and backward pass have at once, gradients of the weights among them."""
    unet = on_meta(base.unet)
    twin = on_meta(network).requires_grad_(True)
    for name, layer in lora_layers(twin).items():  # a copy of one borrows from the same base, which has contents
        layer.__dict__["layer"] = unet.get_submodule(name)
    loss = build_loss(config, replace(base, unet=unet), twin, "meta")
    batch = sample_batch(config, base, network, size, "meta")
    for module in loss.modules():
        if isinstance(module, DiffusersAttention):
            module.set_processor(cast(Any, FusedAttention()))
    with Account() as account:
        loss(batch).backward()
    return account.peak


def sample_batch(config: TrainConfig, base: StableDiffusion, network: ControlNet, size: tuple[int, int], device: str) -> Batch:
    """A part of a batch of the run's sizes, whose latents and maps are zeros."""
    count, (width, height) = config.optimization.batch_size // config.optimization.accumulation, size
    text = base.encode_text([""] * count).map(lambda tensor: tensor.float().to(device))
    latents = torch.zeros(count, *base.latent_shape(width, height), device=device)
    maps = torch.zeros(count, network.config.conditioning_channels, height, width, device=device)
    t = torch.zeros(count, dtype=torch.int64, device=device)
    return Batch(latents, text.hidden_states, maps, t, latents, base.added_conditions(text, width, height))


def on_meta(network: Any) -> Any:
    """The same modules around tensors without contents."""
    made: dict[int, Any] = {id(buffer): torch.empty_like(buffer, device="meta") for buffer in network.buffers()}
    for parameter in network.parameters():
        made[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
    return copy.deepcopy(network, made)


class Account(TorchDispatchMode):
    """Counts the bytes of storages that operations make and that are freed again.

    Attributes:
        live: bytes now.
        peak: at most.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak, self.known = 0, 0, set[int]()

    def __torch_dispatch__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and look at what it made."""
        found = func(*args, **(kwargs or {}))
        given = {identity(one.untyped_storage()) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if (key := identity(storage)) not in self.known and key not in given:
                    self.known.add(key)
                    self.live += storage.nbytes()
                    weakref.finalize(storage, self.free, key, storage.nbytes())
        self.peak = max(self.peak, self.live)
        return found

    def free(self, key: int, size: int) -> None:
        """A storage is gone."""
        self.known.discard(key)
        self.live -= size


class Attention(torch.autograd.Function):
    """Attention that keeps its inputs, its output and one number for each row, as the fused kernels do."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(…, N, d) of queries gives the same shape."""
        found = torch.empty_like(q)
        ctx.save_for_backward(q, k, v, found, q.new_empty(q.shape[:-1], dtype=torch.float32))
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        """Gradients of queries, keys and values."""
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3])


class FusedAttention:
    """A processor of diffusers' `Attention` without the products of all pairs, which the meta device would write out."""

    def __call__(
        self, attention: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, *_: Any, **__: Any
    ) -> Tensor:
        """Attend from `hidden_states` (B, N, C) to `encoder_hidden_states` (B, M, D), or to itself."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        projected = attention.to_q(hidden_states), attention.to_k(context), attention.to_v(context)
        q, k, v = (one.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for one in projected)
        return attention.to_out[0](Attention.apply(q, k, v).transpose(1, 2).flatten(2))
