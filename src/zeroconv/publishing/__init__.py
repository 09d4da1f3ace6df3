"""A network shown to others: its model card, and the hub."""

from zeroconv.publishing.hub import push_to_hub, save_with_card
from zeroconv.publishing.model_card import model_card
from zeroconv.publishing.readme import write_readme

__all__ = ["model_card", "push_to_hub", "save_with_card", "write_readme"]
