"""What happened to a job, in order, for whoever follows it: from the beginning, or from where a follower lost the thread."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ENDS", "Event", "EventLog", "EventLogs"]

ENDS = ("done", "failed", "cancelled")
KEPT = 200  # logs of jobs that have ended


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
        number: counted from 1 in every job.
        name: such as "step".
        data: for JSON.
    """

    number: int
    name: str
    data: dict[str, Any]


@dataclass
class EventLog:
    """The events of one job. Of steps, previews and places in the queue the newest is kept alone.

    Attributes:
        events: in order.
        followers: called after each event, by whichever thread it happens in; they must not block.
        count: of all events.
        mark: tells this log from one of the same job that another service kept.
    """

    events: list[Event] = field(default_factory=list[Event])
    followers: set[Callable[[], None]] = field(default_factory=set[Callable[[], None]])
    count: int = 0
    mark: str = field(default_factory=lambda: secrets.token_hex(4))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str, data: dict[str, Any]) -> None:
        """Something happened; after an end nothing does."""
        with self.lock:
            if self.ended:
                return
            if name in ("step", "preview", "queued"):
                self.events = [event for event in self.events if event.name != name]
            self.count += 1
            self.events.append(Event(self.count, name, data))
            followers = list(self.followers)
        for follower in followers:
            follower()

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return bool(self.events) and self.events[-1].name in ENDS

    def after(self, number: int) -> list[Event]:
        """What happened after an event; of a job that has ended its end at least."""
        with self.lock:
            found = [event for event in self.events if event.number > number]
            return found or ([self.events[-1]] if self.ended else [])

    def name_of(self, event: Event) -> str:
        """The name by which a follower says where it was."""
        return f"{self.mark}.{event.number}"

    def number_of(self, name: str) -> int:
        """The number of the event that a follower saw last; 0 for one of another log, or none."""
        mark, _, number = name.partition(".")
        return int(number) if mark == self.mark and number.isascii() and number.isdigit() and len(number) < 18 else 0

    def follow(self, follower: Callable[[], None]) -> Callable[[], None]:
        """Call `follower` after each event from now on.

        Returns:
            Ends that.
        """
        with self.lock:
            self.followers.add(follower)
        return lambda: self.followers.discard(follower)


class EventLogs:
    """The logs of all jobs that go on, and of the last that have ended."""

    def __init__(self) -> None:
        self.logs: OrderedDict[str, EventLog] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, job: str) -> EventLog | None:
        """The log of a job, if it is still kept."""
        with self.lock:
            return self.logs.get(job)

    def open(self, job: str) -> EventLog:
        """The log of a job, a new one if it has none; old ones of jobs that have ended are let go."""
        with self.lock:
            if job not in self.logs:
                self.logs[job] = EventLog()
                ended = [name for name, log in self.logs.items() if log.ended and not log.followers]
                for name in ended[:-KEPT] if len(ended) > KEPT else []:
                    del self.logs[name]
            return self.logs[job]

    def renew(self, job: str) -> None:
        """A job that had ended goes on: its log begins anew."""
        with self.lock:
            if job in self.logs and self.logs[job].ended:
                del self.logs[job]

    def unended(self) -> list[tuple[str, EventLog]]:
        """The logs that have not ended, by the names of their jobs."""
        with self.lock:
            return [(name, log) for name, log in self.logs.items() if not log.ended]

    def followers(self) -> int:
        """How many follow a job now."""
        with self.lock:
            return sum(len(log.followers) for log in self.logs.values())
