"""The server of a study: votes outlive `kill -9`, and nobody learns or does what is not theirs."""

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.study.raters import make_study, methods_of, noise, prefer
from tests.web.study_server import Served, call
from zeroconv.cli import main
from zeroconv.errors import InputError
from zeroconv.study import Study
from zeroconv.web.public_host import public_host
from zeroconv.web.study import StudyServer

METHODS = ("secret-one", "secret-two", "secret-three")


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    make_study(tmp_path / "study.sqlite", METHODS)
    with Study(tmp_path / "study.sqlite") as opened:
        yield opened


@pytest.fixture
def server(study: Study) -> Iterator[StudyServer]:
    made = StudyServer(study)
    thread = threading.Thread(target=made.run)
    thread.start()
    while not made.server.started:
        time.sleep(0.01)
    yield made
    made.stop()
    thread.join()


@pytest.fixture
def api(study: Study, server: StudyServer) -> str:
    """The address of the first rater's routes."""
    return f"{server.url}/api/study/{study.raters()[0].token}"


def test_votes_outlive_a_killed_server(tmp_path: Path) -> None:
    """Six raters at once; a vote that was acknowledged is there afterwards, and none is there twice."""
    path = tmp_path / "study.sqlite"
    make_study(path, METHODS, items=4, raters=6)
    acknowledged = list[tuple[int, int, dict[str, int]]]()
    failed = list[BaseException]()
    with Study(path) as study, Served(path) as served:

        def go(number: int, token: str) -> None:
            api = f"{served.url}/api/study/{token}"

            def insist(url: str, body: Any = None) -> Any:
                for _ in range(600):
                    try:
                        status, state, _ = call(url, body)
                    except (OSError, HTTPException):
                        time.sleep(0.05)  # killed just now
                    else:
                        assert status == 200, state
                        return state
                raise TimeoutError

            try:
                state = insist(f"{api}/begin", {})
                while question := state["question"]:
                    order = sorted(question["pictures"])
                    ranks = {name: order.index(name) + 1 for name in order}
                    state = insist(f"{api}/votes", {"place": question["place"], "ranks": ranks})
                    acknowledged.append((number, question["place"], ranks))
                    time.sleep(0.02)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=go, args=(one.number, one.token)) for one in study.raters()]
        for thread in threads:
            thread.start()
        while len(acknowledged) < 10:
            time.sleep(0.01)
        served.kill()
        kept = {(vote.rater, vote.item, vote.aspect) for vote in study.votes()}
        assert len(kept) >= 10 and len(kept) < 48  # in the middle
        served.start()
        for thread in threads:
            thread.join()
        assert not failed and len(acknowledged) == 48
        known, votes = methods_of(study), study.votes()
        assert len(votes) == 48 and kept <= {(vote.rater, vote.item, vote.aspect) for vote in votes}
        for rater in study.raters():
            said = [ranks for number, _, ranks in sorted(acknowledged, key=lambda one: one[:2]) if number == rater.number]
            assert [dict(vote.ranks) for vote in votes if vote.rater == rater.number] == [
                {known[name]: rank for name, rank in ranks.items()} for ranks in said
            ]
        assert served.kill(signal.SIGTERM) in (0, -signal.SIGTERM)


def test_a_rater_goes_on_where_he_left(api: str, study: Study) -> None:
    assert call(api)[1]["question"] is None and not call(api)[1]["begun"]
    status, error, _ = call(f"{api}/votes", {"place": 0, "ranks": {}})
    assert status == 409 and "not begun" in error["error"]["message"]
    state = call(f"{api}/begin", {})[1]
    assert state["begun"] and (state["done"], state["total"]) == (0, 6)
    first = study.questions(study.raters()[0])[0]
    ranks = prefer(study, first, METHODS)
    ballot = {"place": 0, "ranks": ranks}
    assert call(f"{api}/votes", ballot)[1]["done"] == 1
    assert call(f"{api}/votes", ballot)[1]["done"] == 1  # sent again: the answer was lost on its way
    turned = {"place": 0, "ranks": {name: 4 - rank for name, rank in ranks.items()}}
    status, error, _ = call(f"{api}/votes", turned)
    assert status == 409 and error["error"]["field"] == "place"
    assert call(api)[1]["question"]["place"] == 1 and call(api)[1]["question"]["aspect"] == "fidelity"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "place"),
        ({"place": -1, "ranks": {}}, 422, "place"),
        ({"place": "x", "ranks": {}}, 422, "place"),
        ({"place": 99, "ranks": {}}, 422, "place"),
        ({"place": 0}, 422, "ranks"),
        ({"place": 0, "ranks": {}, "choice": "A"}, 422, "ranks"),
        ({"place": 0, "choice": "A"}, 422, "ranks"),
        ({"place": 0, "ranks": {"x": 1, "y": 2, "z": 3}}, 422, "ranks"),
        ({"place": 0, "ranks": {"x": True}}, 422, "ranks.x"),
        ({"place": 0, "ranks": {"x": 1e300}}, 422, "ranks.x"),
        ({"place": 0, "ranks": [], "rater": 1}, 422, "ranks"),
        (b"{", 400, None),
        (b"\xff", 400, None),
        (b"[" * 8000, 400, None),
        ([], 422, None),
        (b"x" * 8193, 413, None),
    ],
)  # fmt: skip
def test_what_is_no_vote_is_refused_and_named(api: str, study: Study, body: Any, status: int, field: str | None) -> None:
    call(f"{api}/begin", {})
    got, error, _ = call(f"{api}/votes", body)
    assert got == status and error["error"]["message"] and (field is None or error["error"]["field"] == field), error
    assert "\n" not in error["error"]["message"] and study.votes() == []


def test_nothing_says_which_method_is_which(api: str, study: Study, server: StudyServer) -> None:
    known = methods_of(study)
    call(f"{api}/begin", {})
    said = list[bytes]()
    for _ in range(6):
        _, state, headers = call(api)
        said += [json.dumps(state).encode(), str(headers).encode()]
        for name in (*state["question"]["pictures"], *filter(None, [state["question"]["map"]])):
            _, content, headers = call(f"{api}/pictures/{name}")
            said += [content, str(headers).encode()]
            assert headers["Content-Type"] == "image/png" and headers["Cache-Control"].startswith("private")
        place = state["question"]["place"]
        call(f"{api}/votes", {"place": place, "ranks": prefer(study, study.questions(study.raters()[0])[0], METHODS)})
    said.append(call(f"{server.url}/study/{study.raters()[0].token}")[1])
    text = b"\n".join(said)
    assert not any(word in text for word in (b"secret", b"method_", b"stem", b"tEXt", b"eXIf", b"tIME", b"iCCP"))
    assert noise(0) in said and set(known.values()) == set(METHODS)


def test_the_page_comes_with_everything_it_needs(study: Study, server: StudyServer) -> None:
    status, page, headers = call(f"{server.url}/study/{study.raters()[0].token}")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    parts = re.findall(rb'(?:src|href)="([^"]*)"', page)
    assert sorted(parts) == [b"/assets/study/study.css", b"/assets/study/study.js"]
    for part in parts:
        status, content, _ = call(server.url + part.decode())
        assert status == 200 and not re.search(rb"https?://", content)  # works without internet
        assert b"innerHTML" not in content and b"insertAdjacent" not in content
    assert not re.search(rb"\sstyle=|\son\w+=", page)  # which its policy would not let run


def test_an_unknown_link_opens_nothing(study: Study, server: StudyServer) -> None:
    name = next(iter(methods_of(study)))
    token = study.raters()[0].token
    for path in ("/study/nobody", "/", "/study/", f"/study/{token}/more", "/study/..%2f..%2fetc%2fpasswd"):
        status, page, _ = call(server.url + path)
        assert status == 404 and b"<main" in page, path
    for path in ("/api/study/nobody", f"/api/study/nobody/pictures/{name}", f"/api/study/{token}/pictures/nothing",
                 f"/api/study/{token}/pictures/..%2f..%2fstudy.sqlite", "/api/", "/api/study/%00"):  # fmt: skip
        status, error, _ = call(server.url + path)
        assert status == 404 and error["error"], path
    for path in ("/docs", "/openapi.json", "/redoc", "/assets/study/page.html", "/assets/study/..%2froutes.py", "//etc/passwd"):
        assert call(server.url + path)[0] == 404, path
    for body in ({}, {"place": 0, "ranks": {}}):
        assert call(f"{server.url}/api/study/nobody/{'votes' if body else 'begin'}", body)[0] == 404


def test_other_pages_and_other_names_are_kept_out(api: str, study: Study, server: StudyServer) -> None:
    host = server.url.removeprefix("http://")
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"},
                    {"Sec_Fetch_Site": "same-site"}, {"Origin": f"http://{host}.evil.example"}):  # fmt: skip
        assert call(f"{api}/begin", {}, **headers)[0] == 403, headers
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert call(f"{api}/begin", {}, Content_Type=kind)[0] == 415, kind
    for name in ("evil.example", f"evil.example:{host.rpartition(':')[2]}", "127.0.0.1.evil.example", "", "x@localhost"):
        status, _, headers = call(api, Host=name)
        assert status == 421 and headers["Content-Security-Policy"].startswith("default-src 'none'"), name
    assert not study.raters()[0].is_begun
    for headers in (
        {"Origin": server.url},
        {"Host": "localhost", "Origin": "http://localhost"},
        {"Sec_Fetch_Site": "same-origin"},
    ):
        assert call(f"{api}/begin", {}, **headers)[0] == 200
    for url in (api, server.url, f"{api}/nothing", f"{server.url}/assets/study/study.js"):
        _, _, headers = call(url)
        assert "unsafe" not in headers["Content-Security-Policy"] and headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer" and headers["Cache-Control"] == "no-store"
        assert "Server" not in headers and "Access-Control-Allow-Origin" not in headers


def test_long_and_broken_bodies_end_early(api: str, server: StudyServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    path = api.removeprefix(server.url)
    for method in ("PUT", "DELETE", "PATCH", "POST"):
        connection = HTTPConnection(host, int(port), timeout=20)
        connection.request(method, path, headers={"Content-Type": "application/json"})
        assert connection.getresponse().status == 405
        connection.close()
    connection = HTTPConnection(host, int(port), timeout=20)  # a gigabyte is announced; none of it is waited for
    connection.putrequest("POST", f"{path}/votes")
    connection.putheader("Content-Length", str(2**30))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    connection = HTTPConnection(host, int(port), timeout=20)  # of unknown length
    connection.request(
        "POST", f"{path}/votes", (b"x" * 4096 for _ in range(4)), {"Content-Type": "application/json"}, encode_chunked=True
    )
    assert connection.getresponse().status == 413
    connection.close()
    with socket.create_connection((host, int(port))) as broken:  # leaves in the middle
        broken.sendall(f"POST {path}/votes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode())
        broken.sendall(b"Content-Length: 100\r\n\r\n{")
    assert call(api)[0] == 200


def test_a_full_disk_is_said_and_nothing_changes(api: str, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Study, "begin", full)
        status, error, headers = call(f"{api}/begin", {})
        assert status == 503 and headers["Retry-After"] == "5" and "No space left" in error["error"]["message"]
    assert call(f"{api}/begin", {})[0] == 200 and study.raters()[0].is_begun


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # uvicorn forgets the socket of a taken port
def test_it_is_on_this_machine_alone_unless_its_address_is_named(study: Study, server: StudyServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"
    with pytest.raises(InputError, match="address that they use is not named") as caught:
        StudyServer(study, host="0.0.0.0")
    assert caught.value.field == "url"
    with pytest.raises(InputError, match=f"port {server.socket.getsockname()[1]} of 127.0.0.1 cannot be used"):
        StudyServer(study, server.socket.getsockname()[1])
    named = StudyServer(study, url="https://study.example.org/")
    named.socket.close()
    assert named.url == "https://study.example.org" and "study.example.org" in named.config.app.hosts  # type: ignore[union-attr]
    assert public_host("http://192.168.1.5:8766") == "192.168.1.5" and public_host("http://[fe80::1]:80") == "[fe80::1]"
    for wrong in ("study.example.org", "ftp://a", "http://", "http://a/b", "http://a?b", "http://me:pw@a", "http://[", ""):
        with pytest.raises(InputError) as caught:
            public_host(wrong)
        assert caught.value.field == "url"


@pytest.mark.parametrize("package", ["fastapi", "uvicorn"])
def test_what_is_not_installed_is_named(
    package: str, study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    assert main(["study", "serve", str(study.place), "--port", "0"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and 'pip install "zeroconv[serve]"' in error
