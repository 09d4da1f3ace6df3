"""The states of a run on disk: staged, hashed, renamed into place, verified before they are used, two of them kept."""

import hashlib
import json
import secrets
import shutil
from collections.abc import Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from zeroconv.checkpoints import read_safetensors, write_safetensors
from zeroconv.checkpoints.files.atomic import read_json, sync, write_text
from zeroconv.errors import InputError
from zeroconv.messages import Message, tell
from zeroconv.training.run_folder.parts import read_parts

__all__ = ["EARLIER", "MANIFEST", "Checkpoint", "Checkpoints"]

TENSORS, MANIFEST = "state.safetensors", "manifest.json"
EARLIER = "step.json"  # only states of before hashes have it
KEPT = 2  # a state that turns out to be damaged then has one before it
SPARE = 2**20  # bytes that a saved state leaves free on its disk
BLOCK = 2**22  # bytes hashed at a time


@dataclass(frozen=True)
class Checkpoint:
    """A state that was read back.

    Attributes:
        step: optimizer steps done.
        tensors: by name.
        facts: what else belongs to it, as it was given to `Checkpoints.save`.
        folder: where it lies.
    """

    step: int
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    folder: Path


class Checkpoints:
    """The states of a run.

    ```
    step-0000250/state.safetensors   the tensors
    step-0000250/manifest.json       the step, what else belongs to it, and the SHA-256 of the tensors' file
    ```

    Where processes divide the tensors, each writes a file of its parts in place of the one (`parts.save_parts`).

    A state is written into a folder of another name and renamed, so that one that bears its name is whole unless the disk
    is at fault; then its SHA-256 says so. Writing goes on behind the caller's back, one state at a time.

    Args:
        folder: where they lie; made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.good: list[int] = []  # steps of states known to be whole, oldest first
        self.writer = ThreadPoolExecutor(1, "checkpoint")
        self.pending: Future[None] | None = None

    def save(self, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Begin to write a state; the one before it is waited for. A state of this step that is known to be whole stays.

        Args:
            step: optimizer steps done.
            tensors: by name; copied before this returns.
            facts: plain values that belong to it.

        Raises:
            OSError: when the state before it could not be written, naming the place.
        """
        self.wait()
        if step not in self.good:
            copied = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
            self.pending = self.writer.submit(self.write, step, copied, dict(facts))

    def wait(self) -> None:
        """Until everything is on the disk.

        Raises:
            OSError: when it could not be written; the older states are still there.
        """
        pending, self.pending = self.pending, None
        if pending is not None:
            pending.result()

    def write(self, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write a state, then remove those it makes superfluous; errors as `wait`."""
        with self.staged(step, size_of(tensors)) as part:
            write_safetensors(part / TENSORS, tensors)
            write_manifest(part, step, facts, describe_file(part / TENSORS))

    @contextmanager
    def staged(self, step: int, needed: int) -> Generator[Path]:
        """A folder to write a state into, renamed when the block ends well, superfluous states then removed; else it goes.

        Args:
            step: of the state.
            needed: bytes that it takes, for the error.

        Raises:
            OSError: one line, for any OSError inside the block or in the renaming.
        """
        place = self.place(step)
        part = self.folder / f".{place.name}.{secrets.token_hex(4)}.part"
        try:
            self.folder.mkdir(exist_ok=True)
            self.remove_leftovers()
            part.mkdir()
            yield part
            sync(part)
            if place.exists():  # of this step, and damaged
                place.rename(self.folder / f".{place.name}.{secrets.token_hex(4)}.part")
            part.rename(place)
            sync(self.folder)
        except BaseException as error:
            shutil.rmtree(part, ignore_errors=True)
            if not isinstance(error, OSError):
                raise
            raise OSError(self.describe(step, needed, error)) from error
        self.good = [*self.good, step][-KEPT:]
        for folder in self.found():
            if step_of(folder) not in self.good:
                shutil.rmtree(folder, ignore_errors=True)
        self.remove_leftovers()

    def describe(self, step: int, needed: int, error: OSError) -> str:
        """What a user is told of a state that could not be written."""
        with suppress(OSError):
            free = shutil.disk_usage(self.folder).free
            kept = f"; the state of step {self.good[-1]} is still there" if self.good else ""
            reason = error.strerror or str(error)
            return (
                f"cannot save the state of step {step} in {self.folder}: {reason} "
                f"({needed / 2**20:,.1f} MiB needed, {free / 2**20:,.1f} free){kept}"
            )
        return f"cannot save the state of step {step} in {self.folder}: {error.strerror or error}"

    def load(self, tensors: bool = True) -> Checkpoint | None:
        """The newest state that is whole; None when there is none. States that are not are told and passed over.

        Args:
            tensors: whether to read them; left out, they are empty, and their files verified all the same.

        Raises:
            InputError: for states of an earlier version, which had another form.
        """
        if (self.folder / EARLIER).exists():
            raise InputError(
                f"{self.folder} holds the state of an earlier version of zeroconv",
                field="checkpoint.out",
                hint="choose another --out, or --fresh to begin anew",
            )
        for folder in reversed(self.found()):
            try:
                found = read_state(folder, tensors)
            except (OSError, ValueError) as error:
                tell(Message(f"{folder} is damaged ({error}): the state before it is taken", "run.damaged-state"))
                continue
            self.good = [found.step]
            return found
        return None

    def found(self) -> list[Path]:
        """The folders that bear a state's name, oldest first."""
        folders = self.folder.glob("step-*") if self.folder.is_dir() else ()
        return sorted((one for one in folders if one.is_dir() and step_of(one) is not None), key=lambda one: step_of(one) or 0)

    def place(self, step: int) -> Path:
        """The folder of a step's state."""
        return self.folder / f"step-{step:07d}"

    def remove_leftovers(self) -> None:
        """Remove what a process left that was killed while it wrote."""
        for part in self.folder.glob(".step-*.part"):
            shutil.rmtree(part, ignore_errors=True)

    def close(self) -> None:
        """Let the writing thread end, whatever it is doing; errors of its last state are the caller's to ask for by `wait`."""
        self.writer.shutdown(wait=True)


def step_of(folder: Path) -> int | None:
    """The step that a folder's name says; None when it says none."""
    number = folder.name.removeprefix("step-")
    return int(number) if number.isdigit() else None


def read_state(folder: Path, tensors: bool = True) -> Checkpoint:
    """A state, every byte of which is what was written.

    Args:
        folder: of the state.
        tensors: whether to read them.

    Raises:
        OSError: or `ValueError`, when it is not.
    """
    manifest = read_json(folder / MANIFEST)
    told = manifest.pop("manifest_sha256", None)
    if told != digest_json(manifest):
        raise ValueError(f"{MANIFEST} is not as it was written")
    if manifest["step"] != step_of(folder):
        raise ValueError(f"{MANIFEST} is of step {manifest['step']}")
    files = manifest.get("files", {TENSORS: manifest})
    for name, written in files.items():
        path = folder / name
        if path.stat().st_size != written["bytes"]:
            raise ValueError(f"{name} has {path.stat().st_size} bytes, {written['bytes']} were written")
        if digest(path) != written["sha256"]:
            raise ValueError(f"{name} is not as it was written")
    found: Mapping[str, Tensor] = {}
    if tensors:
        found = read_safetensors(folder / TENSORS) if TENSORS in files else read_parts(folder)
    return Checkpoint(manifest["step"], found, manifest["facts"], folder)


def describe_file(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file, as a manifest holds them."""
    return {"bytes": path.stat().st_size, "sha256": digest(path)}


def write_manifest(folder: Path, step: int, facts: Mapping[str, Any], files: Mapping[str, Any]) -> None:
    """Write a state's manifest with its own digest, and wait until it is on the disk.

    Args:
        folder: of the state.
        step: of the state.
        facts: plain values that belong to it.
        files: `describe_file` of its one file, or under "files" of each of several.
    """
    manifest = {"step": step, "facts": facts, **files}
    write_text(folder / MANIFEST, json.dumps({**manifest, "manifest_sha256": digest_json(manifest)}))


def size_of(tensors: Mapping[str, Tensor]) -> int:
    """Bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def digest_json(value: Mapping[str, Any]) -> str:
    """SHA-256 of plain values, whatever their order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
