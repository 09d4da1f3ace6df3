"""The page's own files: read once, sent compressed, and asked for again only when they changed."""

import gzip
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["MEDIA_TYPES", "panel_file", "panel_router"]

MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
ASKED_AGAIN = "no-cache"  # kept by the browser, which asks whether it changed: a new version is seen at once


def panel_router() -> "APIRouter":
    """The routes `/`, `/favicon.ico` and `/assets/panel/…`, for any FastAPI application.

    Raises:
        ImportError: when FastAPI is not installed.
    """
    from fastapi import APIRouter, HTTPException, Request, Response

    router = APIRouter(include_in_schema=False)

    def answer(request: Request, name: str) -> Response:
        found = panel_file(name)
        if found is None:
            raise HTTPException(404, "there is no such file")
        body, packed, tag = found
        headers = {"ETag": tag, "Cache-Control": ASKED_AGAIN, "Vary": "Accept-Encoding"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            body, headers["Content-Encoding"] = packed, "gzip"
        return Response(body, media_type=MEDIA_TYPES[name.rpartition(".")[2]], headers=headers)

    @router.get("/")
    async def show_page(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        return answer(request, "index.html")

    @router.get("/favicon.ico")
    async def show_icon(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        return answer(request, "icon.svg")

    @router.get("/assets/panel/{name:path}")
    async def show_asset(request: Request, name: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        return answer(request, name)

    return router


@cache
def panel_names() -> frozenset[str]:
    """The files of this folder that a browser may have, as paths with slashes."""
    found: list[str] = []
    folders = [("", files("zeroconv.web.panel"))]
    while folders:
        start, folder = folders.pop()
        for entry in folder.iterdir():
            name = start + entry.name
            if entry.is_dir():
                folders.append((f"{name}/", entry))
            elif name.rpartition(".")[2] in MEDIA_TYPES:
                found.append(name)
    return frozenset(found)


@cache
def panel_file(name: str) -> tuple[bytes, bytes, str] | None:
    """A file, the same compressed, and a tag of what it holds; None if the page has no such file.

    Args:
        name: path below this folder, such as "editor/tiles.js".
    """
    if name not in panel_names():
        return None
    body = (files("zeroconv.web.panel") / name).read_bytes()
    return body, gzip.compress(body, 9, mtime=0), f'"{hashlib.sha256(body).hexdigest()[:16]}"'
