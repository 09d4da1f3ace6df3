"""Weight files: guarded reading, atomic writing, and where a name leads. Dictionaries in, dictionaries out."""

from zeroconv.checkpoints.folders import embedded_names, read_config, read_model_folder, resolve, write_model_folder
from zeroconv.checkpoints.safetensors_file import check_header, read_safetensors, write_safetensors

__all__ = [
    "check_header",
    "embedded_names",
    "read_config",
    "read_model_folder",
    "read_safetensors",
    "resolve",
    "write_model_folder",
    "write_safetensors",
]
