"""Weight files: guarded reading, atomic writing, other people's names, and where a name leads. No network is built here."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeroconv.checkpoints.files.atomic import read_json
    from zeroconv.checkpoints.files.model_folder import check_fit, read_config, write_model_folder
    from zeroconv.checkpoints.files.safetensors import check_header, read_header, read_safetensors, write_safetensors
    from zeroconv.checkpoints.files.shards import read_weights
    from zeroconv.checkpoints.hub.resolve import embedded_names, resolve

__all__ = [
    "check_fit",
    "check_header",
    "embedded_names",
    "read_config",
    "read_header",
    "read_json",
    "read_safetensors",
    "read_weights",
    "resolve",
    "write_model_folder",
    "write_safetensors",
]

LAZY_IMPORTS = {
    "files.atomic": ("read_json",),
    "files.model_folder": ("check_fit", "read_config", "write_model_folder"),
    "files.safetensors": ("check_header", "read_header", "read_safetensors", "write_safetensors"),
    "files.shards": ("read_weights",),
    "hub.resolve": ("embedded_names", "resolve"),
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: whoever writes a PNG or a text atomically needs no torch."""
    for home, names in LAZY_IMPORTS.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
