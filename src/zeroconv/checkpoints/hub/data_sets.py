"""Data sets on the hub: downloaded and prepared by `datasets`, which from version 4 on runs no code of theirs."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import constants

from zeroconv.checkpoints.hub.client import LOG_IN
from zeroconv.errors import InputError, shorten

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["HubTable", "open_data_set"]

NAME = re.compile(
    r"(?!.*\.\.)(?P<repository>[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95})(?:/(?P<configuration>[\w.-]+))?"
    r"(?:@(?P<revision>\w[\w./+-]*))?(?:\[(?P<split>[\w.]+)\])?",
    re.ASCII,
)


@dataclass(frozen=True)
class HubTable:
    """A data set as it lies in the local cache.

    Attributes:
        table: its rows, mapped into memory.
        folder: that it was made from, if it is one on this machine: paths begin there.
        caches: folders in which its pictures lie where the table has only their paths.
    """

    table: "pa.Table"
    folder: Path
    caches: tuple[Path, ...]


def open_data_set(name: str) -> HubTable:
    """Download what is not in the cache, and open it.

    Args:
        name: "owner/name" or "owner/name/configuration", then perhaps "@revision" (a branch, tag or commit) and "[split]",
            which is "train" if left out. A folder of this name on this machine is taken in place of the hub, as `datasets`
            does.

    Raises:
        InputError: when `datasets` is not installed, there is no such data set, configuration or split, or no network.
    """
    found = NAME.fullmatch(name)
    if found is None:
        message = f"got hub:{shorten(name)}; expected hub:owner/name, perhaps with /configuration, @revision, [split]"
        raise InputError(message, field="data.source")
    constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        import datasets
        from datasets.config import HF_DATASETS_CACHE
    except ImportError as error:
        message = f"hub:{name} is read with the package datasets, which is not installed"
        raise InputError(message, field="data.source", hint="pip install 'zeroconv[datasets]'") from error
    try:
        loaded = datasets.load_dataset(
            found["repository"], found["configuration"], split=found["split"] or "train", revision=found["revision"]
        )
    except Exception as error:  # of many libraries: the network's, the files' and its own
        said = shorten(" ".join(str(error).split()), 300) or type(error).__name__
        message = f"hub:{name} cannot be opened: {said}"
        raise InputError(
            message, field="data.source", hint=f"look at its name and splits; if it is private, {LOG_IN}"
        ) from error
    assert isinstance(loaded, datasets.Dataset)
    folder, *caches = (Path(place).resolve() for place in (found["repository"], constants.HF_HUB_CACHE, HF_DATASETS_CACHE))
    return HubTable(loaded.data.table, folder, tuple(caches))
