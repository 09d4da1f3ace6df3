"""A small hub on this machine: the part of its HTTP interface that fetching a model and committing a folder need."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

__all__ = ["READER", "WRITER", "FakeHub", "Repository", "commit_of", "serve"]

WRITER, READER = "hf_writer", "hf_reader"  # tokens
LARGE = (".safetensors", ".bin", ".png")  # stored beside the repository, as large files are


def commit_of(files: Mapping[str, bytes]) -> str:
    """A commit's hash: of all names and bytes."""
    return hashlib.sha1(b"".join(name.encode() + files[name] for name in sorted(files))).hexdigest()


@dataclass
class Repository:
    """Files at commits, and names of commits."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    names: dict[str, str] = field(default_factory=dict[str, str])
    private: bool = False
    gated: bool = False

    def commit(self, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Make `files` the newest state of a branch."""
        commit = commit_of(files)
        self.commits[commit] = dict(files)
        self.names[branch] = commit
        return commit


@dataclass
class Request:
    """What was asked."""

    method: str
    path: str
    token: str | None
    agent: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """What is said."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])


def told(value: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


def refused(status: int, code: str) -> Answer:
    return told({"error": code}, status, **{"X-Error-Code": code, "X-Error-Message": code})


@dataclass
class FakeHub:
    """The hub's state, and every request it got."""

    address: str = ""
    storage: str = ""  # another host name, as the real one's files have
    repositories: dict[str, Repository] = field(default_factory=dict[str, Repository])
    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])
    requests: list[Request] = field(default_factory=list[Request])
    messages: list[str] = field(default_factory=list[str])
    broken: int = 0  # answer everything with this status

    def publish(self, repository: str, files: Mapping[str, bytes], private: bool = False, gated: bool = False) -> str:
        """Commit `files`, making the repository if needed."""
        found = self.repositories.setdefault(repository, Repository(private=private, gated=gated))
        self.blobs |= {hashlib.sha256(data).hexdigest(): data for data in files.values()}
        return found.commit(files)

    def fetched(self, repository: str) -> set[str]:
        """The files whose bytes were asked for."""
        pattern = re.compile(rf"/{re.escape(repository)}/resolve/[^/]+/(.+)")
        return {match[1] for request in self.requests if (match := pattern.fullmatch(request.path))}

    def answer(self, request: Request) -> Answer:
        """Find who answers, as the hub's routes do."""
        self.requests.append(request)
        if self.broken:
            return refused(self.broken, "Broken")
        for method, pattern, respond in ROUTES:
            if request.method in method and (match := re.fullmatch(pattern, request.path)):
                return respond(self, request, *match.groups())
        return refused(404, "NoRoute")

    def lookup(self, request: Request, name: str, revision: str) -> tuple[str, dict[str, bytes]] | Answer:
        """The commit and its files, if this request may read them."""
        found = self.repositories.get(name)
        if found is None or (found.private and request.token != WRITER):
            return refused(401 if request.token is None else 404, "RepoNotFound")
        commit = found.names.get(unquote(revision), unquote(revision))
        return (commit, found.commits[commit]) if commit in found.commits else refused(404, "RevisionNotFound")


def show_model(hub: FakeHub, request: Request, name: str, revision: str | None) -> Answer:
    found = hub.lookup(request, name, revision or "main")
    if isinstance(found, Answer):
        return found
    commit, files = found
    return told({"id": name, "sha": commit, "siblings": [{"rfilename": file} for file in sorted(files)]})


def show_tree(hub: FakeHub, request: Request, name: str, revision: str) -> Answer:
    found = hub.lookup(request, name, revision)
    return found if isinstance(found, Answer) else told([describe(file, data) for file, data in sorted(found[1].items())])


def describe(file: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
    large = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return {**entry, "lfs": large} if file.endswith(LARGE) else entry


def resolve(hub: FakeHub, request: Request, name: str, revision: str, file: str) -> Answer:
    found = hub.lookup(request, name, revision)
    if isinstance(found, Answer):
        return found
    if hub.repositories[name].gated and request.token != WRITER:
        return refused(401 if request.token is None else 403, "GatedRepo")
    commit, files = found
    data = files.get(unquote(file))
    if data is None:
        return refused(404, "EntryNotFound")
    headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'}
    if not file.endswith(LARGE):
        return Answer(200, data, headers)
    digest = hashlib.sha256(data).hexdigest()
    linked = {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(data)), "Location": f"{hub.storage}/blobs/{digest}"}
    return Answer(302, b"", {**headers, **linked})


def load_blob(hub: FakeHub, request: Request, digest: str) -> Answer:
    if request.method == "PUT":
        assert hashlib.sha256(request.body).hexdigest() == digest, "the bytes are not those that were announced"
        hub.blobs[digest] = request.body
        return Answer()
    return Answer(200, hub.blobs[digest]) if digest in hub.blobs else refused(404, "EntryNotFound")


def create(hub: FakeHub, request: Request) -> Answer:
    name = f"{request.json['organization']}/{request.json['name']}"
    if request.token != WRITER:
        return refused(401 if request.token is None else 403, "Forbidden")
    if name in hub.repositories:
        return told({"error": "this repository is there already", "url": f"{hub.address}/{name}"}, 409)
    hub.repositories[name] = Repository(private=request.json.get("visibility") == "private")
    hub.repositories[name].commit({".gitattributes": b""})
    return told({"url": f"{hub.address}/{name}", "name": name})


def check_card(_hub: FakeHub, request: Request) -> Answer:
    """The front matter must be YAML, and a base a name on the hub, as the real one asks."""
    front = re.match(r"---\n(.*?)\n---\n", request.json["content"], flags=re.DOTALL)
    try:
        data = yaml.safe_load(front[1]) if front else {}
    except yaml.YAMLError as error:
        return told({"errors": [{"message": f"not YAML:\n{error}"}], "warnings": []}, 400)
    base = data.get("base_model", "some/base")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", base):
        return told({"errors": [{"message": f'"base_model" with value "{base}" is not valid'}], "warnings": []}, 400)
    return told({"errors": [], "warnings": []})


def preupload(_hub: FakeHub, request: Request, _name: str, _revision: str) -> Answer:
    modes = {file["path"]: "lfs" if file["path"].endswith(LARGE) else "regular" for file in request.json["files"]}
    return told({"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()]})


def batch(hub: FakeHub, request: Request, _name: str) -> Answer:
    def upload(entry: dict[str, Any]) -> dict[str, Any]:
        return {**entry, "actions": {"upload": {"href": f"{hub.storage}/blobs/{entry['oid']}"}}}

    return told({"transfer": "basic", "objects": [upload(entry) for entry in request.json["objects"]]})


def commit(hub: FakeHub, request: Request, name: str, branch: str) -> Answer:
    if request.token != WRITER:
        return refused(403, "Forbidden")
    repository = hub.repositories[name]
    files = dict(repository.commits[repository.names[branch]])
    for line in request.body.splitlines():
        entry = json.loads(line)
        key, value = entry["key"], entry["value"]
        if key == "header":
            hub.messages.append(value["summary"])
        elif key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        else:
            assert key == "lfsFile", f"a commit with {key}"
            files[value["path"]] = hub.blobs[value["oid"]]
    oid = repository.commit(files, branch)
    return told({"commitUrl": f"{hub.address}/{name}/commit/{oid}", "commitOid": oid, "success": True})


NAME = r"([^/]+/[^/]+)"
ROUTES: tuple[tuple[tuple[str, ...], str, Callable[..., Answer]], ...] = (
    (("GET",), rf"/api/models/{NAME}(?:/revision/([^/]+))?", show_model),
    (("GET",), rf"/api/models/{NAME}/tree/([^/]+)", show_tree),
    (("POST",), r"/api/repos/create", create),
    (("POST",), r"/api/validate-yaml", check_card),
    (("POST",), rf"/api/models/{NAME}/preupload/([^/]+)", preupload),
    (("POST",), rf"/{NAME}\.git/info/lfs/objects/batch", batch),
    (("POST",), rf"/api/models/{NAME}/commit/([^/]+)", commit),
    (("GET", "HEAD", "PUT"), r"/blobs/(\w+)", load_blob),
    (("GET", "HEAD"), rf"/{NAME}/resolve/([^/]+)/(.+)", resolve),
)


@contextmanager
def serve() -> Generator[FakeHub]:
    """A hub on a free port of this machine, until the block ends."""
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def handle_request(self) -> None:
            parts = urlsplit(self.path)
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
            agent, body = self.headers.get("User-Agent") or "", self.read_body()
            answer = hub.answer(Request(self.command, parts.path, token, agent, body))
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        def read_body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            pieces: list[bytes] = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)

        do_GET = do_HEAD = do_POST = do_PUT = handle_request  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # quiet
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.address, hub.storage = f"http://127.0.0.1:{server.server_port}", f"http://localhost:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
