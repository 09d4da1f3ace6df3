"""From a network to the hub: saved with its model card, and pushed."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from zeroconv.checkpoints.hub.upload import push
from zeroconv.control.network import ControlNet
from zeroconv.publishing.model_card import model_card
from zeroconv.publishing.readme import write_readme

__all__ = ["push_to_hub", "save_with_card"]


def save_with_card(
    network: ControlNet,
    folder: str | Path,
    dtype: torch.dtype | None = None,
    *,
    title: str | None = None,
    metrics: Mapping[str, str | float] | None = None,
    samples: str | None = None,
    licence: str | None = None,
    name: str | None = None,
) -> Path:
    """Save a ControlNet with a model card beside it, the `README.md` that the hub shows; one of somebody else's stays.

    Args:
        network: what is saved.
        folder: made if it is not there.
        dtype: as in `ControlNet.save_pretrained`.
        title: of the card, as are those that follow; see `model_card`.
        metrics: what was measured, by name.
        samples: a picture of samples, as a path relative to the folder.
        licence: an identifier of the hub's, such as "apache-2.0".
        name: what the network is opened as in the examples.
    """
    folder = network.save_pretrained(folder, dtype)
    write_readme(folder, model_card(network.config, title, metrics, samples, licence, name))
    return folder


def push_to_hub(
    network: ControlNet,
    hub_id: str,
    *,
    private: bool = False,
    token: str | None = None,
    title: str | None = None,
    metrics: Mapping[str, str | float] | None = None,
    licence: str | None = None,
) -> str:
    """Save a ControlNet, with a model card, to "owner/name" on the hub; the address of the commit.

    Args:
        network: what is pushed.
        hub_id: "owner/name"; made if it is not there.
        private: whether a new one is private.
        token: that of the login if left out.
        title: of the card, as are those that follow; see `model_card`.
        metrics: what was measured, by name.
        licence: an identifier of the hub's, such as "apache-2.0".

    Raises:
        PermissionError: without a token, or without the right to write there.
        ConnectionError: when the network fails.
    """
    with TemporaryDirectory() as place:
        folder = save_with_card(network, Path(place), title=title, metrics=metrics, licence=licence, name=hub_id)
        return push(folder, hub_id, private, token)
