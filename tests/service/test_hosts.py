"""Services that share a PostgreSQL database and a folder: one gallery, and each job done by one of them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.postgres import PostgresServer
from tests.serving import Small
from zeroconv.generation import BaseRequest, GenerationRequest
from zeroconv.service import Service

pytestmark = pytest.mark.slow


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return f"{postgres.url}#hosts"


def wait(service: Service, job: str, *states: str) -> str:
    end = time.monotonic() + 60
    while (state := service.board.describe(job)["state"]) not in states:
        assert time.monotonic() < end, state
        time.sleep(0.02)
    return state


@pytest.fixture
def service(small: Small, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr("zeroconv.service.heartbeat.BEAT", 0.2)
    monkeypatch.setattr("zeroconv.service.heartbeat.SILENT", 3.0)
    monkeypatch.setattr("zeroconv.database.postgres.PATIENCE", 0.5)
    monkeypatch.setattr("zeroconv.database.interface.PATIENCE", 0.5)
    made = Service(replace(small.settings(), database=url))
    made.start()
    yield made
    made.stop(grace=0)


def test_a_killed_host_leaves_its_jobs_to_another_which_does_them_once(
    service: Service, small: Small, url: str, postgres: PostgresServer
) -> None:
    """A process of its own is sent two jobs and killed over the first; then the database is away while another one ends."""
    code = (
        "import sys, time; from dataclasses import replace; from pathlib import Path\n"
        "from zeroconv.service import Service, ServiceSettings\n"
        "from zeroconv.generation import GenerationRequest\n"
        "if __name__ == '__main__':\n"
        "    folder, base, url = sys.argv[1:]\n"
        "    made = Service(ServiceSettings(Path(folder), (base,), (), ('cpu',), threads=1, database=url))\n"
        "    made.start()\n"
        "    def ask(prompt, steps):\n"
        "        request = GenerationRequest(prompt=prompt, base=base, num_inference_steps=steps)\n"
        "        return made.submit(request, 'a').id\n"
        "    first, second = ask('killed', 140), ask('waits', 2)\n"
        "    while not made.board.describe(first)['step']: time.sleep(0.01)\n"
        "    print(first, second, flush=True)\n"
        "    time.sleep(60)\n"
    )
    script = small.folder / "host.py"
    script.write_text(code, "utf-8")
    command = [sys.executable, str(script), str(service.settings.folder), small.base, url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    jobs = process.stdout.readline().split()
    assert len(jobs) == 2 and service.board.describe(jobs[0])["state"] == "running"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    process.stdout.close()
    for job in jobs:
        assert wait(service, job, "done", "failed") == "done"
    assert sorted(row["prompt"] for row in service.gallery.find().pictures) == ["killed", "waits"]
    assert [service.jobs.get(job).attempts for job in jobs] == [2, 1]
    request = GenerationRequest(prompt="restarted", base=BaseRequest(name=small.base), num_inference_steps=300)
    running = service.submit(request, "a").id
    wait(service, running, "running")
    postgres.stop()
    log, end = service.board.follow(running), time.monotonic() + 60
    while not any(event.data.get("code") == "database.away" for event in log.events):
        assert not log.ended and time.monotonic() < end  # it goes on, and its picture waits for the database
        time.sleep(0.02)
    postgres.start()
    while not log.ended:
        assert time.monotonic() < end + 60
        time.sleep(0.02)
    assert wait(service, running, "done", "failed") == "done"
    assert service.jobs.get(running).attempts == 1 and service.is_ready
