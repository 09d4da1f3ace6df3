"""The service over HTTP: real server, real worker; every address with hostile values, every error in one shape."""

import base64
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.serving import PIXELS, Small
from tests.web.served import wait_for
from tests.web.study_server import call
from zeroconv.cli import main
from zeroconv.data_uri import encode_png
from zeroconv.errors import InputError
from zeroconv.service import Service
from zeroconv.web.compatible.surfaces import SURFACES
from zeroconv.web.service_server import ServiceServer
from zeroconv.web.token import read_token

LONG = 900  # steps that take longer than any test


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return Small(tmp_path_factory.mktemp("serving"))


@pytest.fixture(scope="module")
def server(small: Small) -> Iterator[ServiceServer]:
    service = Service(small.settings(body_bytes=200_000))
    made = ServiceServer(service)
    service.start()
    thread = threading.Thread(target=made.run)
    thread.start()
    while not made.server.started:
        time.sleep(0.01)
    yield made
    made.stop()
    thread.join()
    service.stop(grace=0)


@pytest.fixture
def api(server: ServiceServer) -> str:
    return f"{server.url}/api/v1"


def png(size: tuple[int, int] = (PIXELS, PIXELS), colour: str = "white") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def body(small: Small, **values: Any) -> dict[str, Any]:
    return {"prompt": "a red house", "num_inference_steps": 3, **values}


def finish(api: str, generation: str) -> Any:
    end = time.monotonic() + 60
    while True:
        found = call(f"{api}/generations/{generation}")[1]
        if found["state"] in ("done", "failed", "cancelled"):
            return found
        assert time.monotonic() < end
        time.sleep(0.02)


def stream(url: str, last: str | None = None) -> list[tuple[str, str, Any]]:
    """All events until the end."""
    import urllib.request

    request = urllib.request.Request(url, headers={} if last is None else {"Last-Event-ID": last})
    found = list[tuple[str, str, Any]]()
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        for block in answer.read().decode().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "event" in lines:
                found.append((lines["id"], lines["event"], json.loads(lines["data"])))
    return found


def test_from_a_picture_to_a_controlled_one_and_back(api: str, small: Small) -> None:
    status, kept, _ = call(f"{api}/pictures", png(colour="red"), Content_Type="image/png")
    assert status == 201 and (kept["width"], kept["height"]) == (PIXELS, PIXELS)
    assert call(f"{api}/pictures", png(colour="red"), Content_Type="image/png")[1] == kept
    picture = f"picture:{kept['id']}"
    status, found, _ = call(f"{api}/extract", {"condition": "canny", "image": picture, "parameters": {"low": 50}})
    assert status == 200 and set(found) == {"map", "width", "height", "milliseconds", "warnings"}
    status, checked, _ = call(f"{api}/check", {"condition": "canny", "map": picture})
    assert status == 200 and checked["warnings"][0]["code"] == "map.no-lines"
    controls = [{"network": small.control, "condition": encode_png(lines())}]
    status, made, _ = call(f"{api}/generations", body(small, controls=controls))
    assert status == 202 and made["state"] == "queued"
    events = stream(f"{api}/generations/{made['id']}/events")
    numbers = [int(name.partition(".")[2]) for name, _, _ in events]
    assert numbers == sorted(set(numbers)) and len({name.partition(".")[0] for name, _, _ in events}) == 1
    names = [name for _, name, _ in events]
    assert names[-2:] == ["result", "done"] and "step" in names
    done = finish(api, made["id"])
    result = done["results"][0]
    assert result == events[-2][2] and result["controls"][0]["adherence"] is not None
    status, content, headers = call(f"{api}/pictures/{result['picture']}")
    assert status == 200 and headers["Content-Type"] == "image/png" and headers["X-Content-Type-Options"] == "nosniff"
    assert call(f"{api}/pictures/{result['picture']}?width=32")[2]["Content-Type"] == "image/webp"
    page = call(f"{api}/gallery?query=RED%20house&limit=1")[1]
    assert page["pictures"][0]["id"] == result["picture"]
    status, download, headers = call(f"{api}/gallery/{result['picture']}/file")
    assert download == content and headers["Content-Disposition"].startswith("attachment")
    status, recalled, _ = call(f"{api}/recall", content, Content_Type="image/png")
    assert status == 200 and recalled["request"]["controls"][0]["condition"].startswith("picture:")
    again = finish(api, call(f"{api}/generations", recalled["request"])[1]["id"])
    assert [one["picture"] for one in again["results"]] == [result["picture"]]


def lines() -> Image.Image:
    image = Image.new("RGB", (PIXELS, PIXELS))
    image.paste("white", (16, 16, 48, 17))
    return image


def test_a_follower_that_lost_the_thread_finds_it_again(api: str, small: Small) -> None:
    name = call(f"{api}/generations", body(small, seed=3))[1]["id"]
    events = stream(f"{api}/generations/{name}/events")
    place = len(events) - 2
    assert stream(f"{api}/generations/{name}/events", events[place][0]) == events[place + 1 :]
    mark = events[0][0].partition(".")[0]
    assert [event for _, event, _ in stream(f"{api}/generations/{name}/events", f"{mark}.999999")] == ["done"]
    whole = stream(f"{api}/generations/{name}/events")
    for other in ("' OR 1", "0.999999", "", f"{mark}.{'9' * 30}"):  # of another log, or none: from the beginning
        assert stream(f"{api}/generations/{name}/events", other) == whole


def test_a_generation_that_is_cancelled_ends_at_once(api: str, small: Small, server: ServiceServer) -> None:
    name = call(f"{api}/generations", body(small, num_inference_steps=LONG))[1]["id"]
    while not call(f"{api}/generations/{name}")[1]["step"]:
        time.sleep(0.01)
    assert delete(f"{api}/generations/{name}") == (200, {"state": "cancelled"})
    assert stream(f"{api}/generations/{name}/events")[-1][1] == "cancelled"
    assert delete(f"{api}/generations/{name}") == (200, {"state": "cancelled"})


def delete(url: str) -> tuple[int, Any]:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_follower_that_leaves_is_forgotten(api: str, small: Small, server: ServiceServer) -> None:
    name = call(f"{api}/generations", body(small, num_inference_steps=LONG))[1]["id"]
    address = server.socket.getsockname()
    before = server.service.board.logs.followers()
    with socket.create_connection(address) as one:
        one.sendall(f"GET /api/v1/generations/{name}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert one.recv(100).startswith(b"HTTP/1.1 200")
        wait_for(lambda: server.service.board.logs.followers() == before + 1)  # it is counted soon after the head was sent
    wait_for(lambda: server.service.board.logs.followers() == before)
    delete(f"{api}/generations/{name}")


def test_options_say_what_there_is(api: str, small: Small) -> None:
    status, found, _ = call(f"{api}/options")
    assert status == 200 and [one["name"] for one in found["bases"]] == [small.base]
    assert [(one["name"], one["conditions"]) for one in found["controls"]] == [(small.control, ["canny"])]
    assert len(found["palette"]) == 150 and found["palette"][0] == {"index": 0, "name": "wall", "color": "#787878"}
    assert len(found["skeleton"]["points"]) == len(found["skeleton"]["colors"]) == 18
    assert found["defaults"]["size"] == [PIXELS, PIXELS] and found["limits"]["body_bytes"] == 200_000
    assert "weights" not in json.dumps([one["parameters"] for one in found["conditions"]])


def test_machines_ask_how_it_is(server: ServiceServer) -> None:
    assert call(f"{server.url}/health")[:2] == (200, {"status": "alive"})
    assert call(f"{server.url}/ready")[:2] == (200, {"status": "ready"})
    text = call(f"{server.url}/metrics")[1].decode()
    assert "# TYPE zeroconv_jobs_total counter" in text and "zeroconv_workers_ready 1" in text


def test_head_says_what_get_would_and_sends_nothing_after_it(api: str, small: Small, server: ServiceServer) -> None:
    name = call(f"{api}/generations", body(small, num_inference_steps=LONG))[1]["id"]
    connection = HTTPConnection(*server.socket.getsockname(), timeout=30)
    statuses: list[tuple[int, bytes]] = []
    paths = "/health", "/metrics", "/nothing", f"/api/v1/generations/{name}/events"  # the last goes on as long as the job
    for method, path in [*(("HEAD", path) for path in paths), ("GET", "/health")]:
        connection.request(method, path)
        answer = connection.getresponse()
        statuses.append((answer.status, answer.read()))
    connection.close()
    assert statuses == [(200, b""), (200, b""), (404, b""), (200, b""), (200, b'{"status":"alive"}')]
    delete(f"{api}/generations/{name}")


def is_shaped(error: Any) -> bool:
    """Whether an error has the one shape, in one line, and says nothing of files."""
    inner = error["error"]
    said = f"{inner['message']} {inner['hint']}"
    return set(inner) == {"code", "message", "field", "hint"} and "\n" not in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("values", "status", "field"),
    [
        (b"{", 400, None),
        (b"\xff", 400, None),
        (b"[" * 15_000, 400, None),
        ([], 422, None),
        ({}, 422, "prompt"),
        ({"prompt": 1}, 422, "prompt"),
        ({"prompt": "a", "steps": 3}, 422, "steps"),
        ({"prompt": "a", "guidance_scale": 1e9}, 422, "guidance_scale"),
        ({"prompt": "a", "num_images": 1000}, 422, "num_images"),
        ({"prompt": "a", "sampler": "best"}, 422, "sampler"),
        ({"prompt": "a", "size": [0, 64]}, 422, "size.0"),
        ({"prompt": "a", "base": "/etc"}, 422, "base.name"),
        ({"prompt": "a", "controls": [{"network": "/etc/passwd", "image": "x"}]}, 422, "controls.0.network"),
        (b'{"prompt": "a", "guidance_scale": NaN}', 422, "guidance_scale"),
        (b'{"prompt": "\\ud800"}', 422, "prompt"),
        pytest.param(b'{"prompt": "a", "\\ud800": 1}', 422, None, id="half a letter"),
    ],
)
def test_a_request_that_cannot_be_used_names_its_field(api: str, values: Any, status: int, field: str | None) -> None:
    got, error, _ = call(f"{api}/generations", values)
    assert (got, error["error"]["field"]) == (status, field) and is_shaped(error), error


def test_bodies_are_short_and_of_their_kind(api: str, server: ServiceServer) -> None:
    for address, content, kind, status in (
        ("pictures", b"x" * 200_001, "image/png", 413),
        ("generations", b"x" * 200_001, "application/json", 413),
        ("pictures", png(), "application/json", 415),
        ("pictures", png(), "", 415),
        ("generations", b"{}", "text/plain", 415),
        ("recall", b"GIF89a", "image/gif", 422),
        ("pictures", b"<svg/>", "image/svg+xml", 422),
        ("recall", png(), "image/png", 422),
    ):
        got, error, _ = call(f"{api}/{address}", content, Content_Type=kind)
        assert got == status and is_shaped(error), (address, kind, got, error)
    # chunked, and said to be long: answered before it was sent
    for header in ("Content-Length: 99999999999", "Transfer-Encoding: chunked"):
        with socket.create_connection(server.socket.getsockname(), timeout=20) as one:
            start = f"POST /api/v1/pictures HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n{header}\r\n\r\n"
            one.sendall(start.encode())
            if "chunked" in header:
                one.sendall(b"30000\r\n" + b"x" * 0x30000 + b"\r\n1000\r\n" + b"x" * 0x1000 + b"\r\n")
            assert one.recv(100).startswith(b"HTTP/1.1 413")


HOSTILE = (
    "../../etc/passwd", "..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "http:%2F%2F127.0.0.1:1%2F", "%00", "%ff", "0" * 64,
    "a" * 3000, "';DROP%20TABLE%20job;--", "picture:x", "%F0%9F%98%80", "%0d%0aX-Evil:%201", ".", "*",
)  # fmt: skip


def test_no_address_leads_to_a_file_or_elsewhere(server: ServiceServer, small: Small) -> None:
    """Every route of the OpenAPI document, with every hostile value in every place of it."""
    document = call(f"{server.url}/openapi.json")[1]
    bait = socket.socket()
    bait.bind(("127.0.0.1", 0))
    bait.listen()
    bait.settimeout(0.2)
    away = f"http://127.0.0.1:{bait.getsockname()[1]}/x.png"
    texts = (away, f"file://{small.folder}/nano/model_index.json", f"{small.folder}/nano/model_index.json", "data:,", "\0")
    assert len(document["paths"]) >= 18
    own = {path: methods for path, methods in document["paths"].items() if not path.startswith(SURFACES)}
    for path, methods in own.items():
        for method in methods:
            if method == "get":
                for value in HOSTILE if "{" in path else ("",):
                    address = path.partition("{")[0] + value + path.partition("}")[2] if "{" in path else path
                    for query in ("", f"?width={value[:9]}&before={value[:9]}&limit=-1&query={value[:50]}"):
                        expect_refusal(*call(f"{server.url}{address}{query}")[:2], may_be_good="{" not in path)
            elif method == "delete":
                for value in HOSTILE:
                    expect_refusal(*delete(f"{server.url}{path.partition('{')[0]}{value}"))
            else:
                for text in texts:
                    control = {"network": small.control, "mask": text, "image": text}
                    for values in (
                        {"condition": "canny", "image": text}, {"condition": text, "image": encode_png(lines())},
                        {"condition": "canny", "map": text}, {"prompt": "a", "controls": [control]},
                        {"condition": "depth", "image": encode_png(lines()), "parameters": {"weights": text}},
                        {"prompt": "a", "base": text}, {"prompt": "a", "base": {"name": small.base, "vae": text}},
                        {"prompt": "a", "base": {"name": small.base, "loras": [{"path": text}]}},
                        {"data": text}, {"base": text}, {"condition": text}, {"name": text}, {"name": "../x"},
                    ):  # fmt: skip
                        expect_refusal(*call(f"{server.url}{path}", values)[:2])
    with pytest.raises(TimeoutError):
        bait.accept()
    bait.close()


def expect_refusal(status: int, answer: Any, may_be_good: bool = False) -> None:
    """No answer but a refusal in the one shape."""
    assert (may_be_good and status == 200) or (400 <= status < 500 and is_shaped(answer)), (status, answer)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"data": "world:5"}, "data"), ({"data": "world:100000000"}, "data"), ({"data": "photos/.."}, "data"),
        ({"data": "world:20@7"}, "data"), ({"base": "tiny"}, "base"), ({"condition": "beauty"}, "condition"),
        ({"steps": 0}, "steps"), ({"name": "UP"}, "name"), ({"out": "/tmp"}, "out"), ({"learning_rate": 2}, "learning_rate"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_started_names_its_field(api: str, values: Any, field: str) -> None:
    got, error, _ = call(f"{api}/runs", values)
    assert (got, error["error"]["field"]) == (422, field) and is_shaped(error), error
    assert call(f"{api}/runs")[1]["runs"] == []


def test_other_pages_and_other_names_are_refused(api: str, server: ServiceServer) -> None:
    for headers, status in (
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Origin": "null"}, 403),
    ):
        got, error, _ = call(f"{api}/generations", {"prompt": "a"}, **headers)
        assert got == status and is_shaped(error)


def test_a_reader_that_is_killed_costs_one_answer(api: str, server: ServiceServer) -> None:
    asked = {"condition": "canny", "image": encode_png(lines())}
    assert call(f"{api}/extract", asked)[0] == 200
    server.service.readings.process.kill()
    assert call(f"{api}/extract", asked)[0] in (200, 503)
    assert call(f"{api}/extract", asked)[0] == 200


def test_others_need_a_token(server: ServiceServer, small: Small) -> None:
    service = server.service
    reaches: list[dict[str, Any]] = [{"host": "0.0.0.0"}, {"host": "192.0.2.1"}, {"urls": ("https://a.example",)}]
    for arguments in reaches:
        with pytest.raises(InputError) as caught:
            ServiceServer(service, **arguments)
        assert caught.value.field == "token_file"
    with pytest.raises(InputError) as caught:
        ServiceServer(service, host="0.0.0.0", token="t" * 20)
    assert caught.value.field == "url"


@pytest.mark.parametrize("content", ["", "short", "with spaces, long enough", "ümläute-sind-keine-idee", "a/b+c=" * 9])
def test_a_token_is_long_and_stands_in_an_address(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token.txt"
    for text, message in ((content, "holds no token"), (None, "No such file")):
        if text is None:
            path.unlink()
        else:
            path.write_text(text, "utf-8")
        with pytest.raises(InputError, match=message) as caught:
            read_token(path)
        assert caught.value.field == "token_file"
    path.write_text("abcdefghij-1234567890\n", "utf-8")
    assert read_token(path) == "abcdefghij-1234567890"


def test_whoever_reaches_out_is_told_before_anything_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "0.0.0.0", "--folder", str(tmp_path / "state")]) == 1
    said = capsys.readouterr().err
    assert "no token is asked for: give --token-file FILE" in said and said.count("\n") == 1
    assert not (tmp_path / "state").exists()


def test_a_token_opens_the_door_as_header_and_as_cookie(server: ServiceServer) -> None:
    token = "a-secret-of-some-length"
    made = ServiceServer(server.service, urls=("http://art.example",), token=token)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        while not made.server.started:
            time.sleep(0.01)
        url = f"http://127.0.0.1:{made.socket.getsockname()[1]}"
        assert call(f"{url}/health")[0] == call(f"{url}/ready")[0] == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": token}, {"Cookie": f"zeroconv={token}"}):
            got, error, said = call(f"{url}/api/v1/options", **headers)
            assert got == 401 and is_shaped(error) and said["WWW-Authenticate"] == "Bearer"
        assert call(f"{url}/api/v1/generations", {"prompt": "a"})[0] == call(f"{url}/metrics")[0] == 401
        assert call(f"{url}/?token=wrong")[0] == 401
        assert call(f"{url}/api/v1/options", Authorization=f"Bearer {token}", Host="art.example")[0] == 200
        status, _, said = call(f"{url}/?token={token}")
        cookie = said["Set-Cookie"]
        assert status == 200 and "HttpOnly" in cookie and "SameSite=Strict" in cookie and token not in cookie
        assert call(f"{url}/api/v1/options", Cookie=cookie.partition(";")[0])[0] == 200
    finally:
        made.server.should_exit = True
        thread.join()


def test_a_full_queue_says_when_to_come_again(api: str, small: Small, server: ServiceServer) -> None:
    first = call(f"{api}/generations", body(small, num_inference_steps=LONG), X_Client="full")[1]["id"]
    queue = server.service.board.turns.queue
    queue.capacity, before = 2, queue.capacity
    answers: list[Any] = []
    try:
        answers += [call(f"{api}/generations", body(small), X_Client="full") for _ in range(3)]
        assert answers[-1][0] == 429 and int(answers[-1][2]["Retry-After"]) >= 1 and is_shaped(answers[-1][1])
    finally:
        queue.capacity = before
        for _, answer, _ in answers:
            if "id" in answer:
                delete(f"{api}/generations/{answer['id']}")
        delete(f"{api}/generations/{first}")


def test_pictures_in_base64_count_as_they_come(api: str) -> None:
    torn = "data:image/png;base64," + base64.b64encode(png()[:40]).decode()
    status, error, _ = call(f"{api}/extract", {"condition": "canny", "image": torn})
    assert status == 422 and error["error"]["field"] == "image" and is_shaped(error)


def test_a_scene_becomes_a_picture_and_maps(api: str) -> None:
    assert call(f"{api}/scene")[1]["most"] == 20
    assert call(f"{api}/scene/random")[0] == 200
    stage = call(f"{api}/scene/random?seed=11")[1]["stage"]
    wanted = {"stage": stage, "width": 48, "height": 32, "conditions": ["depth", "pose"]}
    status, made, _ = call(f"{api}/scene", wanted)
    assert status == 200 and set(made["maps"]) == {"depth", "pose"} and len(made["things"]) == len(stage["things"])
    assert call(f"{api}/scene", wanted)[1]["maps"] == made["maps"]
    assert call(f"{api}/scene", {**wanted, "preview": True})[1]["picture"].startswith("data:image/png")
    for values, field in (
        ({"stage": {**stage, "things": [{"kind": "castle"}]}}, "stage.things.0.kind"),
        ({"stage": {**stage, "things": [{"kind": "car", "part": "subject"}]}}, "stage.things.0.kind"),
        ({"conditions": ["nothing"]}, "conditions.0"),
        ({"conditions": ["inpaint"]}, "conditions.0"),
        ({"width": 512, "preview": True}, "width"),
        ({"width": 4096}, "width"),
    ):
        status, said, _ = call(f"{api}/scene", {**wanted, **values})
        assert (status, said["error"]["field"]) == (422, field)
    assert call(f"{api}/scene/random?kind=castle")[1]["error"]["field"] == "kind"
