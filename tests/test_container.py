"""The container: its files are there, its command parses, its check tells life from death, its page says how to build it."""

import json
import re
import shlex
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import typer

from zeroconv.cli.app import app
from zeroconv.web.public_host import check_reach
from zeroconv.web.token import read_token

ROOT = Path(__file__).parent.parent
STEPS = re.findall(r"^([A-Z]+) +(.*)$", (ROOT / "Containerfile").read_text("utf-8").replace("\\\n", " "), flags=re.MULTILINE)
PORT = 7860


def steps(name: str) -> list[str]:
    """What stands behind an instruction, in order."""
    return [rest for step, rest in STEPS if step == name]


def options() -> dict[str, Any]:
    """What `zeroconv serve` makes of the container's command."""
    program, name, *arguments = json.loads(steps("ENTRYPOINT")[0]) + json.loads(steps("CMD")[0])
    assert program == "zeroconv"
    command: Any = typer.main.get_command(app)
    return command.commands[name].make_context(name, arguments).params


def test_what_is_copied_is_there_and_is_sent_to_the_builder() -> None:
    copied = {name for rest in steps("COPY") if "--from" not in rest for name in rest.split()[:-1]}
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert copied and not [name for name in copied if not (ROOT / name).exists()]
    assert {line[1:] for line in ignored if line.startswith("!")} == copied and "*" in ignored


def test_its_command_is_let_out_with_a_token_and_keeps_all_in_the_volume() -> None:
    known = options()
    check_reach(known["host"], tuple(known["url"]), "t" * 20)
    assert (known["port"], steps("EXPOSE")) == (PORT, [str(PORT)])
    assert steps("VOLUME") == [known["folder"].as_posix()]
    assert f"HF_HOME={known['folder'].as_posix()}/" in " ".join(steps("ENV"))


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (None, 1)])
def test_its_check_tells_life_from_death_whatever_proxy_is_named(
    status: int | None, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status or 500 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    _, python, code_of_check = json.loads(steps("HEALTHCHECK")[0].partition(" CMD ")[2])
    assert str(PORT) in code_of_check
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)  # a failure must not wait for it
        thread.start()
        if status is None:
            server.shutdown()
            server.socket.close()
        command = [sys.executable, python, code_of_check.replace(str(PORT), str(server.server_port))]
        assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == code
        server.shutdown()
        thread.join()


@pytest.mark.skipif(sys.platform == "win32", reason="the command is one of a Unix shell")
def test_the_token_that_the_page_makes_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "serving.md").read_text("utf-8")
    (line,) = re.findall(r"^\$ (.* > token)$", page, flags=re.MULTILINE)
    for _ in range(8):
        subprocess.run(line, shell=True, check=True, cwd=tmp_path)
        assert len(read_token(tmp_path / "token")) >= 32


def test_the_build_of_the_page_is_the_one_of_the_file() -> None:
    text = (ROOT / "Containerfile").read_text("utf-8")
    page = (ROOT / "docs" / "serving.md").read_text("utf-8")
    (built,) = re.findall(r"^\$ (podman build .*)$", page, flags=re.MULTILINE)
    words = shlex.split(built)
    assert f"#   {built}\n" in text and {"--format", "docker"} <= {*words}
    assert [word.partition("=")[0] for word in words if "=" in word] == steps("ARG")
