"""The application: a guard, the routes of the service, the page if it is there, and the pages of studies."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from zeroconv.errors import InputError
from zeroconv.service import Service
from zeroconv.study.store import Study
from zeroconv.version import __version__
from zeroconv.web.failures import describe_refusal
from zeroconv.web.guard import Guard, admit_all
from zeroconv.web.token import Door, Token

__all__ = ["EXTRA", "service_app"]

EXTRA = 'pip install "zeroconv[serve]"'
PANEL = "zeroconv.web.panel"


@dataclass(frozen=True)
class Divided:
    """An ASGI application of two.

    Attributes:
        app: for all addresses but those of the other.
        other: it.
        paths: where its addresses begin.
    """

    app: Any
    other: Any
    paths: tuple[str, ...]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on."""
        app = self.other if scope["type"] == "http" and scope["path"].startswith(self.paths) else self.app
        await app(scope, receive, send)


def service_app(
    service: Service,
    hosts: tuple[str, ...] = (),
    token: str | None = None,
    is_https: bool = False,
    studies: Sequence[Study] = (),
) -> Guard:
    """The application of a service.

    Args:
        service: it.
        hosts: names beside those of this machine that it is reached by.
        token: that is asked for; None lets everybody in who reaches it.
        is_https: whether it is reached by HTTPS alone.
        studies: whose pages are there, too. Raters need no token: they have their links, and see nothing else by them.

    Raises:
        InputError: when FastAPI is not installed.
    """
    try:
        from fastapi import FastAPI
    except ImportError as error:
        raise InputError("the service needs FastAPI, which is not installed", hint=EXTRA) from error
    from zeroconv.web.api import api_router
    from zeroconv.web.api.errors import add_handlers
    from zeroconv.web.api.health import OPEN, health_router
    from zeroconv.web.api.router import body_of
    from zeroconv.web.compatible import add_compatible_routes, compatible_body
    from zeroconv.web.study import STUDY_PATHS, study_api

    study_paths = STUDY_PATHS if studies else ()
    known = None if token is None else Token(token, (*OPEN, *study_paths))
    app = FastAPI(title="zeroconv", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    add_handlers(app)
    app.include_router(api_router(service))
    app.include_router(health_router(service))
    add_compatible_routes(app, service)
    if find_spec(PANEL) is not None:
        from zeroconv.web.panel import panel_router  # pyright: ignore[reportMissingImports, reportUnknownVariableType]

        app.include_router(panel_router())
    longest = service.settings.limits.body_bytes
    both = Divided(app, study_api(*studies), study_paths) if studies else app
    return Guard(
        both if known is None else Door(both, known, is_https),
        hosts,
        lambda method, path: compatible_body(method, path, longest) or body_of(method, path, longest),
        admit_all if known is None else known.admit,
        describe_refusal,
        lambda status: service.metrics.count("zeroconv_requests_total", status=str(status)),
    )
