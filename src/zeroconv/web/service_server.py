"""The server of the service: on this machine alone, unless a token and its address are named."""

import logging
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

from zeroconv.errors import InputError
from zeroconv.service import Service
from zeroconv.study.store import Study
from zeroconv.web.app import EXTRA, service_app
from zeroconv.web.patience import patient
from zeroconv.web.public_host import ALL, bracketed, check_reach, public_host

__all__ = ["ServiceServer"]

CONNECTIONS = 8192  # at a time, where the system allows as many
GRACE = 5  # seconds that answers may take when the server is to end


class ServiceServer:
    """Serves a service until it is interrupted.

    Args:
        service: it; started and stopped by whoever made it.
        port: any free one if 0.
        host: the address that is listened on.
        urls: public addresses by which it is reached, if not by that of this machine.
        token: that is asked for. Whatever is not of this machine alone needs one.
        studies: whose pages are there, too.

    Attributes:
        url: where the page is.

    Raises:
        InputError: the port is taken, or others could reach it without a token, or something is not installed.
    """

    def __init__(
        self,
        service: Service,
        port: int = 0,
        host: str = "127.0.0.1",
        urls: tuple[str, ...] = (),
        token: str | None = None,
        studies: Sequence[Study] = (),
    ) -> None:
        host = bracketed(host)
        check_reach(host, urls, token)
        try:
            import uvicorn
            from uvicorn.protocols.http.auto import AutoHTTPProtocol
        except ImportError as error:
            raise InputError("the service needs uvicorn, which is not installed", hint=EXTRA) from error
        hosts = (*map(public_host, urls), *(() if host in ALL else (host,)))
        is_https = bool(urls) and all(url.startswith("https:") for url in urls)
        self.config = uvicorn.Config(
            service_app(service, hosts, token, is_https, studies), host=host.strip("[]"), port=port, log_config=None,
            log_level="critical", access_log=False, server_header=False, limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GRACE, ws="none", lifespan="off", proxy_headers=False, http=patient(AutoHTTPProtocol),
        )  # fmt: skip
        self.service, self.server = service, uvicorn.Server(self.config)
        try:
            self.socket: Any = self.config.bind_socket()
        except SystemExit as error:  # uvicorn's way to say so
            raise InputError(f"port {port} of {host} cannot be used", field="port", hint="give another --port") from error
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # silent until here, where the line above says it better
        self.url = (urls[0] if urls else f"http://{host}:{self.socket.getsockname()[1]}").rstrip("/")

    def listen(self) -> None:
        """Let connections come, which are answered as soon as `run` does."""
        self.socket.listen(self.config.backlog)

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM; requests that have begun are answered."""
        before = signal.getsignal(signal.SIGTERM)
        is_main = threading.current_thread() is threading.main_thread()
        if is_main:
            signal.signal(signal.SIGTERM, interrupt)  # uvicorn raises the signal again when it has ended
        leave = self.server.handle_exit

        def handle_exit(sig: int, frame: FrameType | None) -> None:
            self.service.board.turns.close()  # whoever follows a job is let go
            leave(sig, frame)

        self.server.handle_exit = handle_exit
        allow_connections()
        try:
            self.server.run(sockets=[self.socket])
        finally:
            self.socket.close()
            if is_main:
                signal.signal(signal.SIGTERM, before)

    def stop(self) -> None:
        """End `run`, from another thread."""
        self.service.board.turns.close()
        self.server.should_exit = True


def allow_connections() -> None:
    """Have as many open files as the system lets this process have."""
    try:
        import resource
    except ImportError:  # Windows
        return
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM as Ctrl-C."""
    raise KeyboardInterrupt
