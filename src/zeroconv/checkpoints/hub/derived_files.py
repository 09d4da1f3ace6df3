"""Where files lie that were made from models and can be made again: beside the hub's cache, where its users clear up."""

from pathlib import Path

from huggingface_hub import constants

__all__ = ["derived_files"]


def derived_files(what: str) -> Path:
    """The folder for such files of one kind, as HF_ASSETS_CACHE or HF_HOME say; it need not be there."""
    return Path(constants.HF_ASSETS_CACHE) / "zeroconv" / what
