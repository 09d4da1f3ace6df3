"""Trainings of the service: each a folder and, while it goes on, a process of its own that leaves the machine to pictures."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from zeroconv.checkpoints.files.atomic import read_json, write_text
from zeroconv.run_files import REQUESTS, STOP
from zeroconv.service.catalogue import BaseEntry, Catalogue, ControlEntry
from zeroconv.service.failure import Failure, MissingError, ServiceError
from zeroconv.service.run_folders import REQUEST, delete_run, is_run
from zeroconv.service.run_process import RunProcess
from zeroconv.service.run_request import RUN_NAME, RunRequest, check_run, train_command
from zeroconv.service.run_view import RunView
from zeroconv.service.trained import control_name, network_folder

__all__ = ["ACTIONS", "RESUME", "Runs"]

RESUME = "resume"
ACTIONS = (*REQUESTS, RESUME)
"""What may be asked of a run."""
OUTPUT = "process.log"  # beside the files of the run folder
SILENT = "the process died without a word"
GRACE = 20.0  # seconds in which a run that is told to end saves its state


class Runs:
    """The runs below a folder.

    Args:
        folder: of all runs.
        data: folders of pairs, by the names under which they are listed.
        devices: on each of which one run may go on at a time.
        threads: of a run on a CPU; None is half of the cores.
        catalogue: what there is, without the networks of runs.
    """

    def __init__(
        self,
        folder: Path,
        data: Mapping[str, Path],
        devices: tuple[str | None, ...],
        threads: int | None,
        catalogue: Callable[[], Catalogue],
    ) -> None:
        self.folder, self.data, self.devices, self.catalogue = folder, dict(data), devices, catalogue
        self.threads = threads or max(1, (os.cpu_count() or 1) // 2)
        self.views: dict[str, RunView] = {}
        self.processes: dict[str, RunProcess] = {}
        self.failures: dict[str, str] = {}
        self.lock = threading.RLock()

    def names(self) -> list[str]:
        """All runs, the newest first."""
        try:
            found = [path for path in self.folder.iterdir() if is_run(path)]
        except OSError:
            return []
        return [path.name for path in sorted(found, key=lambda path: (path / REQUEST).stat().st_mtime_ns, reverse=True)]

    def view(self, name: str) -> RunView:
        """A run's folder.

        Raises:
            MissingError: there is no such run.
        """
        if not RUN_NAME.fullmatch(name) or not is_run(self.folder / name):
            raise MissingError("there is no such run")
        with self.lock:
            return self.views.setdefault(name, RunView(self.folder / name))

    def request(self, name: str) -> RunRequest:
        """What a run was asked for.

        Raises:
            MissingError: that cannot be read.
        """
        try:
            return RunRequest.model_validate(read_json(self.view(name).path / REQUEST))
        except (ValidationError, ValueError, OSError) as error:
            raise MissingError("what this run was asked for cannot be read") from error

    def is_running(self, name: str) -> bool:
        """Whether a process trains there, of this service or of one before it."""
        with self.lock:
            process = self.processes.get(name)
            code = None if process is None else process.exit_code()
            if process is not None and code is None:
                return True
            if process is not None:
                del self.processes[name]
                if code:
                    self.failures[name] = self.without_paths(process.last_words())[:500] or SILENT
        return self.view(name).is_running()

    def running(self) -> list[str]:
        """The runs that go on."""
        return [name for name in self.names() if self.is_running(name)]

    def start(self, request: RunRequest) -> str:
        """Begin a run.

        Returns:
            Its name.

        Raises:
            InputError: it names what is not there.
            ServiceError: another one goes on, or has that name.
            OSError: it cannot be written or started.
        """
        request = check_run(request, (one.name for one in self.catalogue().bases), self.data)
        with self.lock:
            self.require_place()
            name = request.name or self.free_name(request.condition)
            path = self.folder / name
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                failure = Failure("conflict", f"there is a run {name}", "name", "choose another name, or resume it")
                raise ServiceError(failure) from None
            write_text(path / REQUEST, request.model_dump_json(exclude={"name"}))
            self.launch(name, request)
        return name

    def act(self, name: str, action: str) -> None:
        """Ask something of a run, or resume it.

        Args:
            name: of the run.
            action: one of `ACTIONS`.

        Raises:
            MissingError: there is no such run, or no such action.
            ServiceError: it is not so that this can be done.
            OSError: it cannot be written or started.
        """
        view = self.view(name)
        if action not in ACTIONS:
            raise MissingError(f"there is nothing called {action!r:.40} to do; expected one of {', '.join(ACTIONS)}")
        with self.lock:
            is_running = self.is_running(name)
            if action == RESUME:
                self.resume(name, is_running)
            elif not is_running:
                raise ServiceError(Failure("conflict", "this run does not go on now", None, "resume it first"))
            elif view.is_running():
                view.ask(action)
            elif action == STOP:
                self.processes[name].terminate()  # it has not begun, and nothing can be lost
            else:
                raise ServiceError(Failure("conflict", "this run is only just starting", None, "try again in some seconds"))

    def resume(self, name: str, is_running: bool) -> None:
        """Go on with a run that ended early."""
        request = check_run(self.request(name), (one.name for one in self.catalogue().bases), self.data)
        if is_running:
            raise ServiceError(Failure("conflict", "this run goes on already"))
        if self.view(name).state()["step"] >= request.steps:
            raise ServiceError(Failure("conflict", "this run is finished", None, "start another one with more steps"))
        self.require_place()
        self.launch(name, request)

    def remove(self, name: str) -> None:
        """Delete a run with all that it has written; its control is gone.

        Raises:
            MissingError: there is no such run.
            ServiceError: it goes on.
            OSError: it cannot be deleted.
        """
        path = self.view(name).path
        with self.lock:
            if self.is_running(name):
                raise ServiceError(Failure("conflict", "this run goes on", None, "stop it first"))
            delete_run(path)
            self.views.pop(name, None)
            self.failures.pop(name, None)

    def launch(self, name: str, request: RunRequest) -> None:
        """Start the process of a run."""
        path = self.folder / name
        source = str(self.data.get(request.data, request.data))
        device = self.free_device()
        arguments = train_command(request, source, path, device or self.catalogue().device)
        self.failures.pop(name, None)
        self.processes[name] = RunProcess(arguments, path / OUTPUT, self.threads, device)

    def require_place(self) -> None:
        """Refuse when as many runs go on as there are devices.

        Raises:
            ServiceError: they do.
        """
        if len(busy := self.running()) >= len(self.devices):
            hint = "stop it, or wait until it is done"
            raise ServiceError(Failure("conflict", f"{', '.join(busy)} goes on, and there is room for no other", None, hint))

    def free_device(self) -> str | None:
        """A device on which no run of this service goes on."""
        busy = [process.device for process in self.processes.values()]
        return next((one for one in self.devices if one not in busy), self.devices[0])

    def free_name(self, condition: str) -> str:
        """A name that no run has, such as "canny-3"."""
        start = "".join(letter if letter.isalnum() else "-" for letter in condition)[:40]
        count = 1
        while (self.folder / f"{start}-{count}").exists():
            count += 1
        return f"{start}-{count}"

    def state(self, name: str) -> dict[str, Any]:
        """All that a page shows of a run; no path of this machine is in it.

        Raises:
            MissingError: there is no such run.
        """
        view, request, is_running = self.view(name), self.request(name), self.is_running(name)
        state = view.state()
        failure = None if is_running else self.failures.get(name)
        ended = "failed" if failure else "finished" if state["step"] >= request.steps else "stopped"
        begun = "running" if state["probes"] or state["step"] else "starting"
        messages = [{**one, "text": self.without_paths(one["text"])} for one in state["messages"]]
        return {
            **{key: value for key, value in state.items() if key not in ("path", "settings", "name")},
            "id": name,
            "status": begun if is_running else ended,
            "steps": request.steps,
            "seconds_left": state["seconds_left"] if is_running else None,
            "request": request.model_dump(mode="json", exclude={"name"}),
            "created": (view.path / REQUEST).stat().st_mtime,
            "messages": messages,
            "error": failure,
            "control": control_name(name) if network_folder(self.folder, name).is_dir() else None,
        }

    def overview(self) -> dict[str, Any]:
        """All runs in short, the names of those that cannot be read, and the data that one may be started on."""
        kept = ("id", "status", "step", "steps", "seconds_left", "request", "created", "control")
        rows, unreadable = list[dict[str, Any]](), list[str]()
        for name in self.names():
            try:
                state = self.state(name)
            except MissingError:
                unreadable += [name] if is_run(self.folder / name) else []  # another was deleted meanwhile
            else:
                last = state["probes"][-1] if state["probes"] else None
                rows.append({**{key: state[key] for key in kept}, "fidelity": last and last["fidelity"]})
        return {"runs": rows, "unreadable": unreadable, "data": ["world", *self.data], "places": len(self.devices)}

    def controls(self, bases: tuple[BaseEntry, ...]) -> tuple[ControlEntry, ...]:
        """The networks that runs have written, of bases that are listed."""
        listed, found = {one.name for one in bases}, list[ControlEntry]()
        for name in reversed(self.names()):
            with suppress(MissingError):
                request = self.request(name)
                if request.base in listed and network_folder(self.folder, name).is_dir():
                    found.append(ControlEntry(control_name(name), request.condition, (str(request.base),)))
        return tuple(found)

    def sheet(self, name: str, sheet: str) -> bytes:
        """The PNG of a probe's sheet.

        Raises:
            MissingError: there is no such run or sheet.
        """
        content = self.view(name).read_sheet(sheet)
        if content is None:
            raise MissingError("there is no such sheet")
        return content

    def without_paths(self, text: str) -> str:
        """A text that names runs and data as the service does."""
        for path, name in ((self.folder, "runs"), *((path, name) for name, path in self.data.items())):
            text = text.replace(str(path), name)
        return text

    def stop(self, grace: float = GRACE) -> None:
        """Tell the runs of this service to save their state and end; they can be resumed.

        Args:
            grace: seconds until they are left to themselves.
        """
        with self.lock:
            processes = list(self.processes.values())
        for process in processes:
            process.terminate()
        end = time.monotonic() + grace
        for process in processes:
            process.wait_until(end)
