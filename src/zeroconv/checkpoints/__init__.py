"""Weight files: guarded reading, atomic writing, other people's names, and where a name leads. No network is built here."""

from zeroconv.checkpoints.folders import check_fit, embedded_names, read_config, read_model_folder, resolve, write_model_folder
from zeroconv.checkpoints.safetensors_file import check_header, read_header, read_safetensors, write_safetensors
from zeroconv.checkpoints.shards import read_json, read_weights

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
