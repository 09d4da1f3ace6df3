"""The application: a guard, the routes of the service, and the page if it is there."""

from importlib.util import find_spec

from zeroconv.errors import InputError
from zeroconv.service import Service
from zeroconv.version import __version__
from zeroconv.web.guard import Guard, admit_all
from zeroconv.web.token import Door, Token

__all__ = ["EXTRA", "service_app"]

EXTRA = 'pip install "zeroconv[serve]"'
PANEL = "zeroconv.web.panel"


def service_app(service: Service, hosts: tuple[str, ...] = (), token: str | None = None, is_https: bool = False) -> Guard:
    """The application of a service.

    Args:
        service: it.
        hosts: names beside those of this machine that it is reached by.
        token: that is asked for; None lets everybody in who reaches it.
        is_https: whether it is reached by HTTPS alone.

    Raises:
        InputError: when FastAPI is not installed.
    """
    try:
        from fastapi import FastAPI
    except ImportError as error:
        raise InputError("the service needs FastAPI, which is not installed", hint=EXTRA) from error
    from zeroconv.web.api import api_router
    from zeroconv.web.api.errors import add_handlers, describe_refusal
    from zeroconv.web.api.health import OPEN, health_router
    from zeroconv.web.api.router import body_of
    from zeroconv.web.compatible import add_compatible_routes, compatible_body

    known = None if token is None else Token(token, OPEN)
    app = FastAPI(title="zeroconv", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    add_handlers(app)
    app.include_router(api_router(service))
    app.include_router(health_router(service))
    add_compatible_routes(app, service)
    if find_spec(PANEL) is not None:
        from zeroconv.web.panel import panel_router  # pyright: ignore[reportMissingImports, reportUnknownVariableType]

        app.include_router(panel_router())
    longest = service.settings.limits.body_bytes
    return Guard(
        app if known is None else Door(app, known, is_https),
        hosts,
        lambda method, path: compatible_body(method, path, longest) or body_of(method, path, longest),
        admit_all if known is None else known.admit,
        describe_refusal,
        lambda status: service.metrics.count("zeroconv_requests_total", status=str(status)),
    )
