"""A ControlNet's life on disk: opened from any layout, saved as a folder with its card, pushed to the hub.

The class itself is given as an argument: it calls these functions, so they do not know it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from zeroconv.checkpoints import check_fit, resolve, write_model_folder
from zeroconv.checkpoints.files.atomic import write_text
from zeroconv.checkpoints.files.shards import WEIGHTS
from zeroconv.checkpoints.formats.control_lora import FILE, to_control_lora
from zeroconv.checkpoints.formats.controlnet_config import ControlNetConfig
from zeroconv.checkpoints.formats.controlnet_file import Saved, override_config, read_saved
from zeroconv.checkpoints.formats.controlnet_hints import METADATA, Rules
from zeroconv.checkpoints.hub.download import pinned_name, push
from zeroconv.checkpoints.keys.controlnet import controlnet_table
from zeroconv.control.low_rank import borrowed_vectors
from zeroconv.publishing.model_card import model_card

__all__ = ["from_saved", "open_network", "push_network", "save_network"]

CARD = "README.md"


def open_network(kind: Any, name_or_path: str | Path, unet: Any, said: Rules) -> Any:
    """See `ControlNet.from_pretrained`."""
    place = resolve(name_or_path, "ControlNet")
    network = from_saved(kind, read_saved(place, unet, said, called=str(name_or_path)), unet, str(place))
    network.name = pinned_name(name_or_path, place)
    return network.requires_grad_(True)


def from_saved(kind: Any, saved: Saved, unet: Any, what: str) -> Any:
    """The network of what was read, in float32.

    Raises:
        ValueError: when settings and tensors do not fit each other, or a base is needed and none is given.
    """
    if saved.layout == "control-lora":
        if unet is None:
            base = (saved.config and saved.config.base) or "not named"
            raise ValueError(
                f"{what} is a Control-LoRA, offsets from its base ({base}): "
                "open it on a base, with ControlNet.from_pretrained(…, unet=base.unet)"
            )
        network = kind.from_control_lora(unet, saved.tensors, saved.config)
        network.config = override_config(network.config, saved.rules)
        return network
    assert saved.config is not None, "only Control-LoRA files come without settings"
    where, place = (f"{what}/{WEIGHTS}", f"{what}/config.json") if Path(what).is_dir() else (what, what)
    try:
        saved.config.check_size(len(saved.tensors))
        network = kind.without_memory(saved.config)
    except Exception as error:  # the libraries raise many kinds for broken settings
        called = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"{place} describes no ControlNet: {called}{first}") from error
    shapes = {name: tuple(p.shape) for name, p in network.state_dict().items()}
    check_fit(saved.tensors, shapes, f"{where} does not fit its config.json")
    # Copied, not assigned: a file's own memory is not aligned, and sums over it would be rounded differently.
    network.to_empty(device="cpu").float().load_state_dict(saved.tensors)
    for frequencies in (network.time_proj, getattr(network, "add_time_proj", None)):
        assert frequencies is None or not list(frequencies.buffers()), "these hold no tensors"
    return network


def save_network(network: Any, folder: Path, dtype: torch.dtype | None, card: Mapping[str, Any]) -> Path:
    """See `ControlNet.save_pretrained`."""
    tensors = network.state_dict()
    config: ControlNetConfig = network.config
    low_rank = config.variant == "lora"
    if low_rank:
        dtype, tensors = dtype or torch.float16, {**borrowed_vectors(network), **tensors}
    tensors = {name: tensor.to(dtype or tensor.dtype) for name, tensor in tensors.items()}
    if low_rank:
        file = to_control_lora(tensors, controlnet_table(config.unet_shape))
        write_model_folder(folder, config.to_dict(), file, FILE, {METADATA: json.dumps(config.to_dict())})
    else:
        write_model_folder(folder, config.to_dict(), tensors)
    write_text(folder / CARD, model_card(network.config, **card))
    return folder


def push_network(network: Any, hub_id: str, private: bool, token: str | None, card: Mapping[str, Any]) -> str:
    """See `ControlNet.push_to_hub`."""
    with TemporaryDirectory() as place:
        folder = save_network(network, Path(place) / "saved", None, {"name": hub_id, **card})
        return push(folder, hub_id, private, token)
