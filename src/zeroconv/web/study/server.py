"""The server of a study: FastAPI behind a guard, on this machine alone unless its public address is named."""

import logging
from typing import TYPE_CHECKING, Any

from zeroconv.errors import InputError
from zeroconv.service.failure import Failure
from zeroconv.study.store import AnsweredError, Study
from zeroconv.web.failures import CODES, describe_refusal, respond
from zeroconv.web.guard import Guard
from zeroconv.web.headers import LOOPBACK
from zeroconv.web.public_host import public_host
from zeroconv.web.study.routes import asset, study_router

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

__all__ = ["StudyServer", "study_api", "study_app"]

EXTRA = 'pip install "zeroconv[serve]"'
CONNECTIONS = 512  # at a time; whoever comes then is told to come again
GRACE = 5  # seconds that answers may take when the server is to end


def study_app(study: Study, hosts: tuple[str, ...] = ()) -> Guard:
    """The application of one study.

    Args:
        study: it.
        hosts: names beside those of this machine that raters reach it by.

    Raises:
        InputError: when FastAPI is not installed.
    """
    return Guard(study_api(study), hosts, describe=describe_refusal)


def study_api(*studies: Study) -> "FastAPI":
    """The application of studies without a guard, which somebody else must be.

    Args:
        studies: them.

    Raises:
        InputError: when FastAPI is not installed.
    """
    try:
        from fastapi import FastAPI, Response
        from fastapi.exceptions import RequestValidationError
    except ImportError as error:
        raise InputError("the page needs FastAPI, which is not installed", hint=EXTRA) from error
    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    api.include_router(study_router(*studies))

    def refuse(status: int, why: str, field: str | None = None, **headers: str) -> "Response":
        return respond(Failure(CODES.get(status, "internal"), why, field), status, headers)

    def handle_http(request: "Request", error: Any) -> "Response":
        if error.status_code == 404 and not request.url.path.startswith("/api/"):
            return Response(asset("page.html"), 404, media_type="text/html; charset=utf-8")
        return refuse(error.status_code, str(error.detail))

    def handle_input(_: "Request", error: Any) -> "Response":
        return refuse(409 if isinstance(error, AnsweredError) else 422, str(error), error.field)

    def handle_validation(_: "Request", error: Any) -> "Response":
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return refuse(400, "the request is not JSON")
        field = ".".join(str(part) for part in first["loc"] if part != "body")
        return refuse(422, f"{field or 'the request'}: {first['msg']}", field or None)

    def handle_disk(_: "Request", error: Any) -> "Response":
        if isinstance(error, ConnectionError):
            return refuse(503, "the database does not answer now", **{"Retry-After": "5"})
        return refuse(503, f"the vote cannot be kept now: {error.strerror or error}", **{"Retry-After": "5"})

    def handle_mistake(_: "Request", error: Any) -> "Response":
        return refuse(500, f"unexpected {type(error).__name__}: whoever runs the study finds more in its log")

    for status in (400, 404, 405):
        api.add_exception_handler(status, handle_http)
    api.add_exception_handler(InputError, handle_input)
    api.add_exception_handler(RequestValidationError, handle_validation)
    api.add_exception_handler(OSError, handle_disk)
    api.add_exception_handler(Exception, handle_mistake)
    return api


class StudyServer:
    """Serves a study until it is interrupted.

    Args:
        study: it.
        port: any free one if 0.
        host: the address that is listened on.
        url: the public address by which raters reach it. Whatever is not of this machine alone needs one.

    Attributes:
        url: under which the links are.

    Raises:
        InputError: the port is taken, or others could reach it and no public address is named, or something is not installed.
    """

    def __init__(self, study: Study, port: int = 0, host: str = "127.0.0.1", url: str | None = None) -> None:
        try:
            import uvicorn
        except ImportError as error:
            raise InputError("the page needs uvicorn, which is not installed", hint=EXTRA) from error
        if url is None and host not in LOOPBACK:
            message = f"others can reach {host}, and the address that they use is not named"
            raise InputError(message, field="url", hint="name it, such as --url http://192.168.1.5:8766")
        hosts = () if url is None else (public_host(url),)
        self.config = uvicorn.Config(
            study_app(study, hosts), host=host.strip("[]"), port=port, log_config=None, log_level="critical", access_log=False,
            server_header=False, limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=GRACE, ws="none", lifespan="off",
        )  # fmt: skip
        self.server = uvicorn.Server(self.config)
        try:
            self.socket: Any = self.config.bind_socket()
        except SystemExit as error:  # uvicorn's way to say so
            raise InputError(f"port {port} of {host} cannot be used", field="port", hint="give another --port") from error
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # silent until here, where the line above says it better
        self.url = (url or f"http://{host}:{self.socket.getsockname()[1]}").rstrip("/")

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM; requests that have begun are answered."""
        try:
            self.server.run(sockets=[self.socket])
        finally:
            self.socket.close()

    def stop(self) -> None:
        """End `run`, from another thread."""
        self.server.should_exit = True
