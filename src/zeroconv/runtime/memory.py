"""How much memory is free, before weights are packed beside the ones that are there."""

from pathlib import Path

__all__ = ["available_memory"]

MEMORY = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Bytes that can be taken without others being pushed out, in this container too; None where that cannot be told."""
    found: list[int] = []
    try:
        lines = MEMORY.read_text("ascii").splitlines()
        found += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
        limit, used = ((GROUP / name).read_text("ascii").strip() for name in ("memory.max", "memory.current"))
        found += [] if limit == "max" else [max(0, int(limit) - int(used))]
    except (OSError, ValueError, IndexError):
        pass  # another system than Linux, or no limit for this container
    return min(found, default=None)
