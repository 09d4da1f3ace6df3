"""How far a preparation is, and what was said about its pairs."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil

from zeroconv.data.prepared.maker import Done
from zeroconv.data.prepared.manifest import Settings, ShardEntry
from zeroconv.errors import InputError
from zeroconv.messages import Message

__all__ = ["Counter", "Progressed"]


@dataclass(frozen=True)
class Progressed:
    """How far the work is.

    Attributes:
        done: pairs, those of kept shards among them.
        total: pairs.
        made: pairs that were encoded now.
        seconds: since the first of these.
        bytes: of the shards that are done.
    """

    done: int
    total: int
    made: int
    seconds: float
    bytes: int

    @property
    def rate(self) -> float:
        """Pairs a second."""
        return self.made / self.seconds if self.seconds else 0.0


class Counter:
    """Counts what the workers say.

    Args:
        settings: of the whole.
        max_broken: largest share of pairs that may be left out.
        report: called with every change.
    """

    def __init__(self, settings: Settings, max_broken: float, report: Callable[[Progressed], None]) -> None:
        self.settings, self.report = settings, report
        self.max_broken = max_broken
        self.allowed = min(ceil(max_broken * settings.pairs), settings.pairs - 1)
        self.entries: dict[int, ShardEntry] = {}
        self.rows_kept = self.rows_made = self.shards_made = 0
        self.heard: dict[str, list[tuple[int, int, Message]]] = {}
        self.begun = time.monotonic()

    def add(self, said: int | Done) -> None:
        """Count rows, or a shard.

        Raises:
            InputError: when more pairs cannot be used than may be left out.
        """
        if isinstance(said, Done):
            self.entries[said.number] = said.entry
            self.shards_made += not said.kept
            first, last = said.entry.rows
            for code, (count, message) in said.heard.items():
                self.heard.setdefault(code, []).append((first, count, message))
            if said.kept:
                self.rows_kept += last - first
            broken = [problem for entry in self.entries.values() for problem in entry.broken.values()]
            if len(broken) > self.allowed:
                raise InputError(
                    f"{len(broken)} of {self.settings.pairs} pairs cannot be used, {self.allowed} may be left out "
                    f"(first: {broken[0]})",
                    field="source",
                    hint="`zeroconv data check` lists all; mend them, or give a larger --max-broken",
                )
        else:
            self.rows_made += said
        self.report(self.progress())

    def messages(self) -> Iterator[Message]:
        """What was said about pairs, once for each kind, in an order that does not depend on the workers."""
        for _, found in sorted(self.heard.items()):
            count, message = sum(count for _, count, _ in found), min(found, key=lambda one: one[0])[2]
            yield replace(message, text=f"{message.text} ({count} such pairs)") if count > 1 else message

    def progress(self) -> Progressed:
        """How far the work is."""
        made = sum(entry.rows[1] - entry.rows[0] for entry in self.entries.values()) - self.rows_kept
        made = max(made, self.rows_made)  # Ray tells of whole shards alone
        sizes = sum(entry.bytes for entry in self.entries.values())
        return Progressed(self.rows_kept + made, self.settings.pairs, made, time.monotonic() - self.begun, sizes)
