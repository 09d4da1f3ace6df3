"""Other people's names for our tensors, as tables: each is a bijection, so what it reads it can also write."""

from zeroconv.checkpoints.keys.controlnet import ConditionEncoderShape, condition_encoder_shape, controlnet_table
from zeroconv.checkpoints.keys.table import Entry, Form, Table
from zeroconv.checkpoints.keys.text_encoder import clip_table, count_layers, open_clip_table
from zeroconv.checkpoints.keys.unet import unet_table
from zeroconv.checkpoints.keys.vae import VaeShape, vae_shape, vae_table

__all__ = [
    "ConditionEncoderShape",
    "Entry",
    "Form",
    "Table",
    "VaeShape",
    "clip_table",
    "condition_encoder_shape",
    "controlnet_table",
    "count_layers",
    "open_clip_table",
    "unet_table",
    "vae_shape",
    "vae_table",
]
