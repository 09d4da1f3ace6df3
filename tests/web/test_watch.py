"""The page that follows a run: what it says is what the folder says, and nobody but the page itself can ask for anything."""

import json
import os
import platform
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zeroconv.cli import main
from zeroconv.run_files import REQUESTS
from zeroconv.service.log_reader import LogReader, number
from zeroconv.service.run_view import POINTS, thin_out
from zeroconv.web import RunView, WatchServer

NASTY = '<script>alert("x")</script>'


def probe(step: int, fidelity: float, **more: Any) -> dict[str, Any]:
    return {
        "event": "probe", "step": step, "fidelity": fidelity, "low": fidelity - 0.05, "high": fidelity + 0.05,
        "uncontrolled": 0.3, "ceiling": 0.8, "without_prompt": {"value": fidelity - 0.1, "low": 0.1, "high": 0.2},
        "measure": "edge F1", "held_out_loss": 0.02, **more,
    }  # fmt: skip


ROWS: list[dict[str, Any]] = [
    probe(0, 0.3),
    {"event": "progress", "step": 10, "loss": 0.05, "losses": [0.05] * 10, "gradient_norms": [1.0] * 10,
     "samples_per_second": 8.0, "seconds_left": 120.0, "memory": 2**30},
    {"event": "message", "step": 10, "code": "data.left-out", "level": "warning", "text": NASTY},
    {"event": "progress", "step": 20, "loss": 0.04, "losses": [0.03] * 10, "gradient_norms": [1.0] * 10,
     "samples_per_second": 9.0, "seconds_left": 60.0, "memory": 2**31},
    probe(20, 0.6),
    {"event": "jump", "step": 20, "at": 12, "begin": 0, "end": 20, "before": 0.3, "after": 0.6, "earliest": 9, "latest": 15},
]  # fmt: skip
SETTINGS = '[data]\nsource = "world:9"\ncondition = "canny"\n\n[optimization]\nsteps = 40\n'


def write_log(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder of a process that gives signs of life: this one."""
    run = tmp_path / "a & b"
    (run / "samples").mkdir(parents=True)
    (run / "state" / "step-0000010").mkdir(parents=True)
    for step in (0, 20):
        Image.new("RGB", (8, 8), (step, 0, 0)).save(run / "samples" / f"step-{step:06d}.png")
    (run / "config.toml").write_text(SETTINGS, "utf-8")
    (run / "lock").write_text(f"{os.getpid()} {platform.node()} 2026-01-31T12:00:00+00:00\n")
    write_log(run, ROWS)
    return run


@dataclass(frozen=True)
class Answer:
    status: int
    content: bytes
    headers: Any

    @property
    def json(self) -> Any:
        return json.loads(self.content)


Ask = Callable[..., Answer]


def asker(server: WatchServer) -> Ask:
    def ask(path: str, method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(server.address + path, method=method, headers=named)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return Answer(answer.status, answer.read(), answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read(), error.headers)

    return ask


def serve(server: WatchServer) -> Iterator[WatchServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def server(folder: Path) -> Iterator[WatchServer]:
    yield from serve(WatchServer(RunView(folder)))


@pytest.fixture
def ask(server: WatchServer) -> Ask:
    return asker(server)


def test_the_page_comes_with_everything_it_needs(ask: Ask, server: WatchServer) -> None:
    page = ask("/")
    text = page.content.decode()
    assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<h1>a &amp; b</h1>" in text and server.token in text and "{{" not in text
    parts = re.findall(r'(?:src|href)="(/[^"]*)"', text)
    assert sorted(parts) == ["/page.css", "/page.js"]
    for part in parts:
        answer = ask(part)
        assert answer.status == 200 and len(answer.content) > 1000
        assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", answer.content)  # works without internet
    assert not re.search(rb"\sstyle=|\son\w+=", page.content)  # which its policy would not let run
    assert b"innerHTML" not in ask("/page.js").content and b"insertAdjacent" not in ask("/page.js").content


def test_the_state_is_the_folders(ask: Ask, folder: Path) -> None:
    state = ask("/api/run").json
    assert (state["name"], state["status"], state["step"], state["steps"], state["saved"]) == ("a & b", "running", 20, 40, 10)
    assert [(one["step"], one["fidelity"], one["low"], one["without_prompt"]) for one in state["probes"]] == [
        (0, 0.3, pytest.approx(0.25), pytest.approx(0.2)), (20, 0.6, pytest.approx(0.55), 0.5),
    ]  # fmt: skip
    assert state["jump"] == {"at": 12, "earliest": 9, "latest": 15, "begin": 0, "end": 20}
    assert state["losses"] == [[step, 0.05 if step <= 10 else 0.03] for step in range(1, 21)]
    assert state["means"] == [[10, 0.05], [20, 0.04]] and state["speeds"] == [[10, 8.0], [20, 9.0]]
    assert state["memory"] == [[10, 2**30], [20, 2**31]] and state["device_memory"] == []
    assert state["seconds_left"] == 60 and state["read_only"] is False and state["asked"] == []
    assert state["messages"] == [{"step": 10, "text": NASTY, "code": "data.left-out", "level": "warning"}]
    assert state["settings"]["data"]["condition"] == "canny"
    assert state["sheets"] == ["step-000000.png", "step-000020.png"]
    sheet = ask("/samples/step-000020.png")
    assert sheet.headers["Content-Type"] == "image/png"
    assert sheet.content == (folder / "samples" / "step-000020.png").read_bytes()


def test_a_run_that_goes_on_and_one_that_goes_back(folder: Path) -> None:
    reader = LogReader(folder / "log.jsonl")
    assert reader.read().step == 20
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(probe(30, 0.7)) + '\n{"event": "progress", "st')
        file.flush()
        assert [row["step"] for row in reader.read().probes] == [0, 20, 30]
        file.write('ep": 40, "loss": 1.5}\nnonsense\n[]\n{"event": "probe", "step": "x"}\n')
    assert reader.read().step == 40 and reader.read().means[-1] == (40, 1.5)
    part = folder / ".log.part"
    part.write_text(json.dumps(probe(0, 0.3)) + "\n")
    part.replace(folder / "log.jsonl")  # as a resumed run writes it
    assert [row["step"] for row in reader.read().probes] == [0] and reader.read().step == 0
    (folder / "log.jsonl").unlink()
    assert reader.read().step == 0


def test_odd_numbers_in_a_log_are_no_numbers(ask: Ask, folder: Path) -> None:
    odd = [probe(1, 0.5, low=None, held_out_loss="x", without_prompt=3, measure=NASTY), {"event": "jump", "step": 1, "at": []}]
    write_log(folder, [*odd, {"event": "progress", "step": 2, "loss": {}, "losses": "abc", "memory": True}])
    with (folder / "log.jsonl").open("a") as file:
        file.write('{"event": "progress", "step": 3, "loss": NaN, "losses": [1.0, Infinity], "seconds_left": -Infinity}\n')
    (folder / "config.toml").write_text("steps = [")
    state = ask("/api/run").json
    assert state["probes"][0]["low"] is state["probes"][0]["without_prompt"] is state["probes"][0]["held_out_loss"] is None
    assert state["losses"] == [[2, 1.0]] and state["means"] == [] and state["seconds_left"] is None
    assert state["settings"] == {} and state["steps"] is None
    assert [number(value) for value in (1, 2.5, True, "3", None, float("nan"))] == [1.0, 2.5, None, None, None, None]


def test_settings_that_json_has_no_word_for_are_text(ask: Ask, folder: Path) -> None:
    (folder / "config.toml").write_text("[optimization]\nsteps = inf\nrates = [nan, 1.5]\n[a]\nday = 2020-01-01\non = true\n")
    state = ask("/api/run").json
    assert state["settings"] == {
        "optimization": {"steps": "inf", "rates": ["nan", 1.5]},
        "a": {"day": "2020-01-01", "on": True},
    }
    assert state["steps"] is None


def test_curves_are_thinned_out() -> None:
    points = [(step, float(step % 7)) for step in range(1, 70_001)]
    thin = thin_out(points)
    assert len(thin) <= POINTS and thin_out(points[:3]) == points[:3] and thin_out([]) == []
    assert sum(value for _, value in thin) / len(thin) == pytest.approx(3, abs=0.05)


def test_whether_somebody_trains_there(folder: Path) -> None:
    view = RunView(folder)
    assert view.is_running() and view.state()["status"] == "running"
    os.utime(folder / "lock", (1, 1))  # silent for long
    assert not view.is_running() and view.state()["status"] == "stopped"
    (folder / "lock").write_text(f"999999999 {platform.node()} 2026-01-31T12:00:00+00:00\n")
    assert not view.is_running()
    (folder / "lock").write_text("7 another-machine\n")
    assert view.is_running()
    (folder / "lock").write_text("")
    write_log(folder, [probe(40, 0.7)])
    assert view.state()["status"] == "finished"
    (folder / "lock").unlink()
    assert not view.is_running()


@pytest.mark.parametrize("name", REQUESTS)
def test_the_page_asks_by_a_file(name: str, ask: Ask, server: WatchServer, folder: Path) -> None:
    for _ in range(2):
        answer = ask(f"/api/{name}", "POST", X_Zeroconv_Token=server.token, Origin=server.address)
        assert answer.status == 202 and (folder / name).is_file() and (folder / name).stat().st_size == 0
    assert ask("/api/run").json["asked"] == [name]


def asked_nothing(folder: Path) -> bool:
    return not any((folder / name).exists() for name in REQUESTS)


def test_other_pages_cannot_ask(ask: Ask, server: WatchServer, folder: Path) -> None:
    good = {"X_Zeroconv_Token": server.token}
    for headers in ({}, {"X_Zeroconv_Token": ""}, {"X_Zeroconv_Token": "é" * 43}, {**good, "Origin": "http://evil.example"},
                    {**good, "Origin": "null"}, {**good, "Host": "evil.example"}):  # fmt: skip
        assert ask("/api/stop", "POST", **headers).status == 403, headers
    assert ask("/api/stop", "GET", **good).status == 404
    assert ask("/api/config.toml", "POST", **good).status == 404 and ask("/stop", "POST", **good).status == 404
    assert ask("/api/stop", "POST", **good, Content_Length="99999").status == 413
    assert ask("/api/stop", "POST", **good, Content_Length="-1").status == 413
    assert ask("/api/stop", "POST", **good, Transfer_Encoding="chunked").status == 413
    assert asked_nothing(folder)


def test_a_name_that_only_leads_here_is_refused(ask: Ask, server: WatchServer) -> None:
    for path in ("/", "/api/run", "/page.js", "/samples/step-000000.png"):
        for host in (
            "evil.example",
            f"evil.example:{server.server_port}",
            "127.0.0.1.evil.example",
            "",
            "localhost@evil.example",
        ):
            answer = ask(path, Host=host)
            assert answer.status == 403 and server.token.encode() not in answer.content, host
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:8765"):
            assert ask(path, Host=host).status == 200


def test_nothing_can_be_asked_of_a_read_only_page_or_of_a_run_that_ended(folder: Path) -> None:
    for server in serve(WatchServer(RunView(folder), read_only=True)):
        ask = asker(server)
        assert ask("/api/run").json["read_only"] is True
        assert ask("/api/stop", "POST", X_Zeroconv_Token=server.token).status == 403
    (folder / "lock").write_text("")
    for server in serve(WatchServer(RunView(folder))):
        assert asker(server)("/api/stop", "POST", X_Zeroconv_Token=server.token).status == 409
    assert asked_nothing(folder)


def test_only_known_files_are_served(server: WatchServer, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes((folder / "samples" / "step-000000.png").read_bytes())
    (folder / "samples" / "step-000001.png").symlink_to(tmp_path / "secret.png")
    (folder / "samples" / "step-000002.png").write_text("no picture")
    (folder / "samples" / "step-000003.png").mkdir()
    (folder / "samples" / "other.png").write_bytes((tmp_path / "secret.png").read_bytes())
    ways = [
        "/samples/../config.toml", "/samples/..%2fconfig.toml", "/../config.toml", "/config.toml", "/log.jsonl", "//etc/passwd",
        "/samples//etc/passwd", "/samples/", "/samples", "/samples/step-000001.png", "/samples/step-000002.png",
        "/samples/step-000003.png", "/samples/other.png", "/samples/step-000099.png", "/samples/step-000000.png/../other.png",
        "/samples/step-000000.png%00", "/page.html", "/server.py", "/../run_view.py", "/samples/.\\step-000000.png",
        "http://127.0.0.1/config.toml", "/samples/" + "9" * 5000,
    ]  # fmt: skip
    for way in ways:
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)  # sends paths as they are
        connection.putrequest("GET", way, skip_host=True)
        connection.putheader("Host", "127.0.0.1")
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 404, way
        assert answer.read() == b'{"error": "there is no such page"}'
        connection.close()


def test_every_answer_keeps_other_pages_out(ask: Ask) -> None:
    for answer in (ask("/"), ask("/page.js"), ask("/api/run"), ask("/nowhere"), ask("/", Host="evil"), ask("/", "DELETE"),
                   ask("/samples/step-000000.png"), ask("/api/stop", "POST"), ask("/", "HEAD")):  # fmt: skip
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'") and "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["Cache-Control"] == "no-store"
        assert "Python" not in answer.headers["Server"]
    assert ask("/", "HEAD").content == b""


def test_it_listens_on_this_machine_alone(server: WatchServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"


def test_what_cannot_be_watched_ends_in_one_line(
    tmp_path: Path, server: WatchServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, said in (
        ([str(tmp_path)], "no training run in"),
        ([str(folder), "--port", str(server.server_port)], f"port {server.server_port} cannot be used"),
    ):
        assert main(["watch", *words, "--no-browser"]) == 1
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


def test_the_command_says_where_the_page_is(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    def interrupt(_: WatchServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(WatchServer, "serve_forever", interrupt)
    assert main(["watch", str(folder), "--port", "0"]) == 0
    address = capsys.readouterr().out.strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address) and opened == [address]
    assert main(["watch", str(folder), "--port", "0", "--no-browser"]) == 0 and len(opened) == 1
