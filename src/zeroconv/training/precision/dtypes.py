"""The types that a run computes in, by the names of its settings."""

import torch

from zeroconv.training.config.groups import BaseDtype
from zeroconv.training.config.optimization import Precision
from zeroconv.training.config.train_config import TrainConfig

__all__ = ["NAMES", "base_dtype", "compute_dtype"]

COMPUTED: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
NAMES: dict[Precision, BaseDtype] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""What the types of the copy are called where the base's are named."""


def compute_dtype(config: TrainConfig) -> torch.dtype:
    """The type that the trainable copy computes in; its weights are float32 always."""
    return COMPUTED[config.optimization.precision]


def base_dtype(config: TrainConfig) -> BaseDtype:
    """The type that the locked base's weights are kept in; the one that the copy computes in, if it is left open."""
    return config.model.base_dtype or NAMES[config.optimization.precision]
