"""Trainings of a service: only what is listed, one at a time, resumed after a death, their networks always the newest."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.serving import Small
from zeroconv.control import ControlNet
from zeroconv.data_uri import encode_png
from zeroconv.errors import InputError
from zeroconv.generation import ControlRequest, GenerationRequest
from zeroconv.service import Failure, Service, ServiceError
from zeroconv.service.catalogue import BaseEntry, Catalogue
from zeroconv.service.models import ModelCache
from zeroconv.service.run_folders import finish_deletions
from zeroconv.service.run_request import RunRequest, check_run, train_command
from zeroconv.service.runs import Runs
from zeroconv.service.trained import TrainedControls
from zeroconv.training import TrainConfig

PATIENCE = 240.0  # seconds, on a busy machine


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return Small(tmp_path_factory.mktemp("serving"))


def make_runs(small: Small, folder: Path) -> Runs:
    catalogue = Catalogue((BaseEntry(small.base, 64, 64, "sd15", 13),), (), "cpu", "float32")
    return Runs(folder, {"photos": folder / "secret"}, ("cpu",), 1, lambda: catalogue)


def write_run(folder: Path, name: str, request: RunRequest) -> Path:
    """A run that ended after a few steps, as it lies there."""
    path = folder / name
    path.mkdir(parents=True)
    (path / "request.json").write_text(request.model_dump_json(), "utf-8")
    rows = [
        {"event": "probe", "step": 0, "fidelity": 0.2, "low": 0.1, "high": 0.3, "uncontrolled": 0.2, "ceiling": 0.9},
        {"event": "message", "step": 1, "text": f"{folder}/a.png cannot be read", "code": "x", "level": "warning"},
        {"event": "progress", "step": 4, "loss": 0.5, "losses": [1.0, 0.5, 0.4, 0.3], "seconds_left": 9.0},
        {"event": "jump", "step": 4, "at": 3, "earliest": 2, "latest": 4, "begin": 0, "end": 4},
    ]
    (path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def refusal(act: Callable[[], object]) -> Failure:
    with pytest.raises(ServiceError) as caught:
        act()
    return caught.value.failure


def test_a_run_names_only_what_is_listed() -> None:
    folders = {"photos": Path("/srv/photos")}
    good = check_run(RunRequest(data="photos", condition="canny"), ["tiny", "other"], folders)
    assert (good.base, good.data) == ("tiny", "photos")
    for values, field in (
        ({"data": "/srv/photos"}, "data"), ({"data": "hub:a/b"}, "data"), ({"data": "world:9"}, "data"),
        ({"data": "world:100001"}, "data"), ({"base": "/models"}, "base"), ({"condition": "beauty"}, "condition"),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            check_run(RunRequest.model_validate(values), ["tiny"], folders)
        assert caught.value.field == field and "/srv" not in str(caught.value).replace(values.get("data", "-"), "")


def test_the_command_says_all_that_was_asked_for() -> None:
    asked = RunRequest(data="photos", base="tiny", steps=7, batch_size=3, learning_rate=1e-3, probe_every=2, seed=5)
    words = train_command(asked, "/srv/photos", Path("/state/runs/one"), "cpu")
    assert words[0] == "train"
    named = dict(word.removeprefix("--").split("=", 1) for word in words[1:] if not word.startswith("--set"))
    settings = [word.removeprefix("--set=") for word in words if word.startswith("--set=")]
    config = TrainConfig.build(None, settings, **{**named, "out": Path(named["out"]), "steps": int(named["steps"])})
    optimization = config.optimization
    assert (config.data.source, config.data.condition, config.model.base) == ("/srv/photos", "canny", "tiny")
    assert (optimization.steps, optimization.batch_size, optimization.learning_rate, optimization.seed) == (7, 3, 1e-3, 5)
    assert (config.probe.every, str(config.checkpoint.out)) == (2, "/state/runs/one")


def test_a_run_is_shown_without_paths_and_only_inside_its_folder(small: Small, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    runs = make_runs(small, folder)
    assert runs.overview() == {"runs": [], "unreadable": [], "data": ["world", "photos"], "places": 1}
    write_run(folder, "one", RunRequest(data="photos", base=small.base, steps=10))
    state = runs.state("one")
    assert (state["status"], state["step"], state["steps"], state["seconds_left"]) == ("stopped", 4, 10, None)
    assert state["jump"]["at"] == 3 and state["probes"][0]["ceiling"] == 0.9 and len(state["losses"]) == 4
    assert str(folder) not in json.dumps({**state, "request": None}) and state["messages"][0]["text"].startswith("runs/a.png")
    assert runs.overview()["runs"][0]["fidelity"] == 0.2
    (write_run(folder, "damaged", RunRequest()) / "request.json").write_text("{", "utf-8")
    assert ([row["id"] for row in runs.overview()["runs"]], runs.overview()["unreadable"]) == (["one"], ["damaged"])
    shutil.rmtree(folder / "damaged")
    write_run(tmp_path, "outside", RunRequest())
    (folder / "link").symlink_to(tmp_path / "outside")
    assert runs.names() == ["one"]
    for name in ("link", "..", ".", "", "../outside", "one/", "nothing", "ONE"):
        assert refusal(lambda name=name: runs.state(name)).code == "missing"
    assert refusal(lambda: runs.sheet("one", "../request.json")).code == "missing"


def test_what_cannot_be_done_now_is_said(small: Small, tmp_path: Path) -> None:
    runs = make_runs(small, tmp_path)
    write_run(tmp_path, "done", RunRequest(base=small.base, steps=4))
    going = write_run(tmp_path, "going", RunRequest(base=small.base, steps=10))
    for action in ("stop", "probe", "save", "resume"):
        assert refusal(lambda action=action: runs.act("done", action)).code == "conflict"
    assert refusal(lambda: runs.act("done", "fly")).code == "missing"
    (going / "lock").write_text(f"{os.getpid()} {os.uname().nodename} now", "utf-8")
    assert runs.running() == ["going"] and runs.state("going")["status"] == "running"
    assert "going" in refusal(lambda: runs.start(RunRequest(data="world:20"))).message
    runs.act("going", "probe")
    assert (going / "probe").exists() and runs.state("going")["asked"] == ["probe"]
    assert refusal(lambda: runs.act("going", "resume")).code == "conflict"
    (going / "lock").unlink()
    taken = refusal(lambda: runs.start(RunRequest(data="world:20", name="going")))
    assert (taken.code, taken.field) == ("conflict", "name")


def test_a_run_is_deleted_once_it_has_ended_and_then_wholly(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, request = make_runs(small, tmp_path), RunRequest(data="world:16", base=small.base)
    for name in ("first", "second"):
        write_run(tmp_path, name, request)
    (tmp_path / "first" / "controlnet").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Runs, "is_running", lambda *_: True)
        assert refusal(lambda: runs.remove("first")).code == "conflict" and runs.names()
    with monkeypatch.context() as patch, pytest.raises(OSError, match="torn"):

        def fail(path: Path, ignore_errors: bool = False) -> None:
            if not ignore_errors:
                raise OSError("torn")

        patch.setattr("shutil.rmtree", fail)
        runs.remove("first")
    assert runs.names() == ["second"] and len(list(tmp_path.iterdir())) == 2
    finish_deletions(tmp_path)
    runs.remove("second")
    assert runs.names() == [] and list(tmp_path.iterdir()) == []
    for name in ("second", "..", "../elsewhere", ".second.deleted"):
        assert refusal(lambda name=name: runs.remove(name)).code == "missing"


def test_the_network_of_a_run_is_opened_anew_when_it_was_written_anew(small: Small, tmp_path: Path) -> None:
    write_run(tmp_path, "one", RunRequest(base=small.base))
    runs, name = make_runs(small, tmp_path), "run:one"
    bases = runs.catalogue().bases
    assert runs.controls(bases) == () and runs.state("one")["control"] is None
    network = ControlNet.from_pretrained(small.control)
    network.save_pretrained(tmp_path / "one" / "controlnet")
    entry = runs.controls(bases)[0]
    assert (entry.name, entry.condition, entry.bases) == (name, "canny", (small.base,))
    assert runs.controls(()) == () and runs.state("one")["control"] == name
    models, trained = ModelCache(2**30, "cpu"), TrainedControls(tmp_path)
    warm = models.get(small.base, [name])
    trained.open(small.base, [name, small.control], models)
    first = warm.opened[name]
    trained.open(small.base, [name], models)
    assert warm.opened[name] is first and first.name == name and list(warm.opened) == [name]
    with torch.no_grad():
        next(network.parameters()).add_(1.0)
    network.save_pretrained(tmp_path / "one" / "controlnet")
    trained.open(small.base, [name], models)
    difference = next(warm.opened[name].parameters()) - next(first.parameters())
    assert torch.allclose(difference, torch.ones_like(difference))
    with pytest.raises(InputError, match="run:gone"):
        trained.open(small.base, ["run:gone"], models)


@pytest.mark.slow
def test_a_run_lives_dies_is_resumed_and_makes_a_picture(small: Small) -> None:
    service = Service(small.settings("runs"))
    try:
        service.start()
        runs = service.runs
        name = runs.start(RunRequest(data="world:16", steps=100_000, batch_size=1, probe_every=100_000))
        assert name == "canny-1" and runs.state(name)["status"] == "starting"
        assert os.getpriority(os.PRIO_PROCESS, runs.processes[name].pid) >= 10
        wait(lambda: runs.state(name)["step"] >= 1)
        runs.act(name, "save")
        wait(lambda: (runs.state(name)["saved"] or 0) > 0 and not runs.state(name)["asked"])
        os.kill(runs.processes[name].pid, signal.SIGKILL)
        wait(lambda: not runs.is_running(name))
        state = runs.state(name)
        assert (state["status"], state["error"]) == ("failed", state["error"]) and state["error"]
        runs.act(name, "resume")
        wait(lambda: runs.view(name).is_running() and runs.state(name)["step"] > state["saved"])
        assert name in [entry.name.removeprefix("run:") for entry in service.known().controls]
        white = encode_png(Image.new("RGB", (64, 64), "white"))
        control = ControlRequest(network=f"run:{name}", image=white)
        job = service.submit(GenerationRequest(prompt="a", num_inference_steps=2, controls=(control,)), "test")
        wait(lambda: service.board.describe(job.id)["state"] in ("done", "failed"))
        made = service.board.describe(job.id)
        assert made["state"] == "done" and made["results"][0]["controls"][0]["network"] == f"run:{name}", made
        runs.act(name, "stop")
        wait(lambda: not runs.is_running(name))
        assert runs.state(name)["status"] == "stopped" and runs.state(name)["saved"] > state["saved"]
    finally:
        service.stop(grace=0)


def wait(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)
