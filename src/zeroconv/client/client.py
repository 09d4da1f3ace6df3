"""Requests to a server as calls, with the types of the library: pictures in, pictures out."""

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from PIL import Image

from zeroconv.client.connection import Connection, ServerError, refuse
from zeroconv.client.pictures import PICTURE, Source, embed, embed_pictures, open_png, read_file
from zeroconv.errors import InputError

if TYPE_CHECKING:
    from zeroconv.generation.request import GenerationRequest

__all__ = ["Client", "Page", "Picture"]

API = "/api/v1"
ENDS = ("done", "failed", "cancelled")
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between connections, after the first new one
AWAY = ("unreachable", "unavailable")
"""Codes of a server that ends, or begins."""

OnEvent = Callable[[str, dict[str, Any]], None]
"""`on_event(name, data)`: "queued", "started", "step", "preview", "message", "result", "done", as the server tells them."""


@dataclass(frozen=True)
class Picture:
    """A picture that was made.

    Attributes:
        image: RGB.
        seed: makes it again.
        id: of the server's file.
        content: the file, a PNG with what makes it again.
        controls: for each control "network", "condition", "map" and "overlay" (ids), "measure" and "adherence".
    """

    image: Image.Image
    seed: int
    id: str
    content: bytes
    controls: tuple[Mapping[str, Any], ...]

    @property
    def adherence(self) -> list[float | None]:
        """How well each control is obeyed, 0 … 1; None where nothing was asked for."""
        return [control["adherence"] for control in self.controls]


@dataclass(frozen=True)
class Page:
    """Some pictures of the gallery.

    Attributes:
        pictures: newest first, as the server describes them.
        next: `before` of the next page; None after the last.
    """

    pictures: list[dict[str, Any]]
    next: int | None


class Client:
    """`Client().generate(prompt="a red house")[0].image` is a picture.

    Args:
        url: of the server.
        token: that it asks for.
        timeout: seconds without a byte after which it counts as gone; it tells of itself every 15.
        patience: seconds in all that a request is put off for where the server is busy, as long as it says each time.

    Raises:
        InputError: the address is none of HTTP.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:7860", token: str | None = None, timeout: float = 60.0, patience: float = 120.0
    ) -> None:
        self.server = Connection(url, token, timeout, patience)

    def options(self) -> dict[str, Any]:
        """What the server offers: bases, controls, conditions, samplers, limits, good defaults.

        Raises:
            ServerError: it does not answer.
        """
        return self.server.json("GET", f"{API}/options")

    def upload(self, image: Source) -> str:
        """Keep a picture on the server.

        Returns:
            "picture:ID", which stands for it in requests.

        Raises:
            InputError: it is no picture.
            ServerError: the server cannot keep it.
        """
        if isinstance(image, str) and image.startswith(PICTURE):
            return image
        content = base64.b64decode(embed(image, "image").partition(",")[2])
        return PICTURE + self.server.json("POST", f"{API}/pictures", content)["id"]

    def picture(self, name: str) -> Image.Image:
        """A picture that the server keeps, such as a map or an overlay.

        Args:
            name: its id, with or without "picture:".

        Raises:
            ServerError: there is none.
        """
        return open_png(self.server.bytes("GET", f"{API}/pictures/{quote(name.removeprefix(PICTURE), safe='')}"))

    def extract(
        self, condition: str, image: Source, size: tuple[int, int] | None = None, resize: str | None = None, **parameters: Any
    ) -> Image.Image:
        """The map of a picture.

        Args:
            condition: such as "canny".
            image: the picture.
            size: of the map; the picture's own if left out.
            resize: how a picture of another size is fitted: "crop", "stretch" or "fill".
            **parameters: of the extractor, such as `low`.

        Raises:
            InputError: for one that cannot be used.
            ServerError: not now.
        """
        body: dict[str, Any] = {"condition": condition, "image": self.upload(image), "parameters": parameters, "resize": resize}
        if size is not None:
            body["width"], body["height"] = size
        return self.picture(self.server.json("POST", f"{API}/extract", body)["map"])

    def generate(
        self, request: "GenerationRequest | None" = None, on_event: OnEvent | None = None, **fields: Any
    ) -> list[Picture]:
        """Make pictures and wait for them; whoever interrupts that cancels them.

        Args:
            request: what is asked for; paths in it are files of this machine.
            on_event: called with everything that the server tells.
            **fields: of a `GenerationRequest` in place of it. Pictures may be of Pillow, too.

        Raises:
            InputError: for a value that cannot be used, with its field.
            ServerError: it failed, or was cancelled.
        """
        name = self.submit(request, **fields)
        try:
            return self.follow(name, on_event)
        except BaseException as error:
            if not isinstance(error, InputError | ServerError):
                self.cancel(name)
            raise

    def submit(self, request: "GenerationRequest | None" = None, **fields: Any) -> str:
        """Have pictures made without waiting; see `generate`.

        Returns:
            The name of the generation, for `follow` and `cancel`.
        """
        if request is not None and fields:
            raise InputError("expected a request or its fields, got both", field=next(iter(fields)))
        values = fields if request is None else request.model_dump(mode="json", exclude_defaults=True)
        if request is not None:
            values["prompt"] = request.prompt
        return str(self.server.json("POST", f"{API}/generations", embed_pictures(values))["id"])

    def follow(self, generation: str, on_event: OnEvent | None = None) -> list[Picture]:
        """Wait for the pictures of a generation; a connection that breaks is made again where it broke.

        A server that ends and starts again goes on with what it had begun: it is waited for, the client's patience long.

        Args:
            generation: its name.
            on_event: called with everything that the server tells.

        Raises:
            InputError: for a value that could not be used after all, with its field.
            ServerError: it failed, was cancelled, or the server is gone.
        """
        last, pause, end = "", 0.0, None
        latest = time.monotonic() + self.server.patience
        while end is None:
            try:
                for event, name, data in self.server.events(f"{API}/generations/{quote(generation, safe='')}/events", last):
                    last, pause, latest = event, 0.0, time.monotonic() + self.server.patience
                    if on_event is not None:
                        on_event(name, data)
                    if name in ENDS:
                        end = name, data
                        break
            except ServerError as error:
                if error.code not in AWAY or time.monotonic() + pause > latest:
                    raise
            if end is None:
                if time.monotonic() + pause > latest:
                    raise ServerError("the server ends the connection again and again", "unreachable")
                time.sleep(pause)
                pause = min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE)
        return self.collect(generation, *end)

    def collect(self, generation: str, end: str, data: Mapping[str, Any]) -> list[Picture]:
        """The pictures of a generation that has ended."""
        if end == "failed":
            raise refuse(data["error"])
        if end == "cancelled":
            raise ServerError("the generation was cancelled", "cancelled")
        found = self.server.json("GET", f"{API}/generations/{quote(generation, safe='')}")["results"]
        return [self.fetch(result) for result in found]

    def fetch(self, result: Mapping[str, Any]) -> Picture:
        """The picture of a result."""
        content = self.server.bytes("GET", f"{API}/pictures/{quote(result['picture'], safe='')}")
        return Picture(open_png(content), result["seed"], result["picture"], content, tuple(result["controls"]))

    def cancel(self, generation: str) -> str:
        """Have a generation not done, or not any further.

        Returns:
            Its state then: "cancelled", or how it had ended before.

        Raises:
            ServerError: there is none.
        """
        return str(self.server.json("DELETE", f"{API}/generations/{quote(generation, safe='')}")["state"])

    def gallery(self, query: str = "", before: int | None = None, limit: int = 50) -> Page:
        """Pictures that the server made, newest first.

        Args:
            query: words of their prompts.
            before: `next` of the page before.
            limit: how many at most.

        Raises:
            InputError: for a number out of range.
            ServerError: it does not answer.
        """
        asked = {"query": query, "limit": limit, **({} if before is None else {"before": before})}
        return Page(**self.server.json("GET", f"{API}/gallery?{urlencode(asked)}"))

    def recall(self, image: bytes | Path) -> "GenerationRequest":
        """The request that a picture carries, its maps kept on the server.

        Args:
            image: a PNG that zeroconv made.

        Raises:
            InputError: it carries none.
            ServerError: the server does not answer.
        """
        from zeroconv.generation.request import GenerationRequest  # here, because PyTorch comes with it

        content = image if isinstance(image, bytes) else read_file(image, "image")
        return GenerationRequest.model_validate(self.server.json("POST", f"{API}/recall", content)["request"])
