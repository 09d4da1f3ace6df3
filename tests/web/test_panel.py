"""The page's files, without a browser: served, compressed, under a strict policy, complete and licensed."""

import ast
import gzip
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from zeroconv.conditions.openpose.drawing import COLOURS, JOINTS, LIMB_BRIGHTNESS, LIMBS, SMALL
from zeroconv.web.guard import Guard
from zeroconv.web.panel import panel_router
from zeroconv.web.panel.routes import panel_file, panel_names

FOLDER = Path(__file__).parents[2] / "src" / "zeroconv" / "web" / "panel"
MODULES = sorted(path for path in FOLDER.rglob("*.js"))
IMPORT = re.compile(
    r"""\b(?:import|export)\b[\w\s{},*$]*\bfrom\s*["']([^"']+)["']|\bimport\s*["']([^"']+)["']|\bimport\(["']([^"']+)["']\)"""
)
MOST = 300 * 1024  # bytes of a first load, compressed
PACKAGES = {
    "preact": ("preact.js", "preact-hooks.js"), "htm": ("htm.js",), "preact-signals": ("signals.js", "signals-core.js"),
    "perfect-freehand": ("perfect-freehand.js",),
}  # fmt: skip


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    app.include_router(panel_router())
    return TestClient(Guard(app), base_url="http://127.0.0.1:7860")


def imports(path: Path) -> list[str]:
    """What a module imports, as written."""
    return [next(filter(None, found)) for found in IMPORT.findall(path.read_text("utf-8"))]


def page_urls() -> list[str]:
    return re.findall(r'(?:src|href)="([^"]+)"', (FOLDER / "index.html").read_text("utf-8"))


def test_every_file_is_served_with_its_type_and_the_policy(client: TestClient) -> None:
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html", ".txt": "text/plain"}
    for name in panel_names():
        answer = client.get(f"/assets/panel/{name}")
        assert answer.status_code == 200 and answer.content == (FOLDER / name).read_bytes()
        assert answer.headers["content-type"].startswith(types[Path(name).suffix])
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/").content == (FOLDER / "index.html").read_bytes()


OTHERS = ("", "nothing.js", "routes.py", "__init__.py", "../headers.py", "..%2fheaders.py", "lib", "/etc/passwd")


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/assets/panel/{name}").status_code == 404


def test_a_file_is_sent_once_and_compressed(client: TestClient) -> None:
    first = client.get("/assets/panel/app.js", headers={"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip" and int(first.headers["content-length"]) < len(first.content)
    again = client.get("/assets/panel/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304 and not again.content
    plain = client.get("/assets/panel/app.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers and plain.content == first.content


def test_the_page_has_nothing_inline_and_asks_no_other_host() -> None:
    page = (FOLDER / "index.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)
    for path in [*MODULES, *FOLDER.rglob("*.css"), FOLDER / "index.html"]:
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert path.parent.name == "vendor" or not re.search(r"https?://|[\"'(]//\w", text)
        assert "@import" not in text and "eval(" not in text


def test_every_import_of_every_module_resolves() -> None:
    for path in MODULES:
        for name in imports(path):
            assert name.startswith("."), f"{path.name} imports {name}"
            assert (path.parent / name).resolve().is_file(), f"{path.name} imports {name}"


def test_no_module_is_left_over_and_imports_have_no_circle() -> None:
    graph = {path: [(path.parent / name).resolve() for name in imports(path)] for path in MODULES}
    done: set[Path] = set()

    def visit(path: Path, above: tuple[Path, ...]) -> None:
        assert path not in above, " > ".join(one.name for one in (*above, path))
        if path not in done:
            for one in graph[path]:
                visit(one, (*above, path))
            done.add(path)

    visit((FOLDER / "main.js").resolve(), ())
    assert done == {path.resolve() for path in MODULES}


def test_the_page_asks_for_all_modules_at_once() -> None:
    """None waits until another one was read."""
    told = {url for url in page_urls() if url.endswith(".js")}
    assert told == {f"/assets/panel/{path.relative_to(FOLDER).as_posix()}" for path in MODULES}
    assert {url for url in page_urls() if url.endswith(".css")} == {
        f"/assets/panel/{path.relative_to(FOLDER).as_posix()}" for path in FOLDER.rglob("*.css")
    }


def test_the_first_load_is_small() -> None:
    names = {"index.html", *(url.removeprefix("/assets/panel/") for url in page_urls() if not url.startswith("/api/"))}
    found = [panel_file(name) for name in names]
    assert sum(len(one[1]) for one in found if one) < MOST and all(found)
    assert all(gzip.decompress(one[1]) == one[0] for one in found if one)


def test_vendored_code_has_its_licences() -> None:
    vendor = FOLDER / "vendor"
    assert {path.name for path in vendor.glob("*.js")} == {name for names in PACKAGES.values() for name in names}
    for package in PACKAGES:
        text = (vendor / f"LICENSE-{package}.txt").read_text("utf-8")
        assert "MIT" in text or "Permission is hereby granted" in text or "Apache License" in text


def test_modules_are_short() -> None:
    own = [path for path in (*MODULES, *FOLDER.rglob("*.css")) if path.parent.name != "vendor"]
    assert not [path.name for path in own if len(path.read_text("utf-8").splitlines()) > 300]


def test_the_page_draws_the_same_skeleton() -> None:
    text = (FOLDER / "editor" / "pose_drawing.js").read_text("utf-8")

    def listed(name: str) -> Any:
        found = re.search(rf"const {name} = (\[.*?\n\]|\d[\d.]*);", text, re.S)
        assert found is not None
        return ast.literal_eval(found[1])

    assert tuple(listed("JOINTS")) == JOINTS
    assert tuple(tuple(limb) for limb in listed("LIMBS")) == LIMBS
    assert [tuple(bytes.fromhex(colour[1:])) for colour in listed("COLOURS")] == [tuple(colour) for colour in COLOURS]
    assert (listed("BRIGHTNESS"), listed("SMALL")) == (LIMB_BRIGHTNESS, SMALL)
