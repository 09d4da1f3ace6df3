"""Weight files: guarded reading, atomic writing, other people's names, and where a name leads. No network is built here."""

from zeroconv.checkpoints.files.atomic import read_json
from zeroconv.checkpoints.files.model_folder import check_fit, read_config, read_model_folder, write_model_folder
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
    "read_model_folder",
    "read_safetensors",
    "read_weights",
    "resolve",
    "write_model_folder",
    "write_safetensors",
]
