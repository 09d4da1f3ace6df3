"""Weights of feature networks: a file or folder of the user's, or what the hub calls so, with their SHA-256."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from zeroconv.checkpoints.inspect.describe import hash_of
from zeroconv.errors import InputError

__all__ = ["find_file", "find_folder", "hash_all"]

PICKLES = (".pth", ".pt", ".bin", ".ckpt")
SETTINGS = (
    "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt",
    "special_tokens_map.json",
)  # fmt: skip


def find_file(weights: str | Path, what: str) -> Path:
    """The `.safetensors` file that a path or "owner/name[@revision]" leads to.

    Args:
        weights: a file, or a repository or folder with one such file.
        what: the network, for errors.

    Raises:
        FileNotFoundError: when there is none, or it cannot be fetched.
        InputError: for a pickle, with the command that reads it safely.
    """
    path = Path(weights)
    if path.suffix in PICKLES:
        out = path.with_suffix(".safetensors").name
        said = f"{weights} is a pickle; `zeroconv convert {weights} {out} --to safetensors` reads it safely"
        raise InputError(said, field="weights")
    if path.is_file():
        return path
    folder = path if path.is_dir() else fetch(str(weights), lone_file, f"{what} weights", "a .safetensors file")
    files = lone_file([one.name for one in folder.iterdir()])
    if not files:
        raise FileNotFoundError(f"{weights} has not exactly one .safetensors file; expected {what} weights")
    return folder / files[0]


def find_folder(weights: str | Path, what: str) -> Path:
    """The folder, `config.json` and safetensors weights in it, that a path or "owner/name[@revision]" leads to.

    Raises:
        FileNotFoundError: when there is none, or it cannot be fetched.
    """
    path = Path(weights)
    if path.is_dir() or path.is_file():
        if not (path / "config.json").is_file():
            raise FileNotFoundError(f"{weights} has no config.json; expected a folder of transformers with a {what}")
        return path
    return fetch(str(weights), network_files, what, "config.json")


def fetch(name: str, choose: Callable[[Collection[str]], list[str]], what: str, mark: str) -> Path:
    """A repository's folder on this machine, with the chosen files."""
    from zeroconv.checkpoints.hub.download import download_files  # here, because the hub's client takes half a second

    try:
        return download_files(name, choose, mark)
    except (OSError, ValueError) as error:
        raise FileNotFoundError(f"no {what} at {name!r}: {error}") from error


def lone_file(names: Collection[str]) -> list[str]:
    """The one safetensors file at the top of a repository; [] when there are none or several."""
    files = [name for name in names if name.endswith(".safetensors") and "/" not in name]
    return files if len(files) == 1 else []


def network_files(names: Collection[str]) -> list[str]:
    """What a network of transformers consists of; [] unless its weights are all there."""
    from zeroconv.checkpoints.hub.file_selection import whole_or_shards

    weights = whole_or_shards(names)
    return ["config.json", *(name for name in SETTINGS if name in names), *weights] if weights else []


def hash_all(files: Sequence[Path]) -> str:
    """SHA-256 of a file; of several, of their digests in the order of their names."""
    digests = [hash_of(path) for path in sorted(files)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
