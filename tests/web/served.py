"""What the proofs of clients share: a server on a nano base with a token, the library beside it, a picture and a mask."""

import base64
import hashlib
import time
from typing import Any

import webuiapi
from PIL import Image

from tests.serving import PIXELS, Small
from tests.web.study_server import call
from zeroconv.data_uri import encode_png
from zeroconv.generation import GenerationRequest, generate
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.web.service_server import ServiceServer

__all__ = [
    "BEARER",
    "CANNY",
    "HOLE",
    "LONG",
    "MASK",
    "PICTURE",
    "STEPS",
    "TOKEN",
    "Served",
    "digest",
    "form",
    "holed",
    "png",
    "wait_for",
]

TOKEN = "a-token-for-tests-alone"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
STEPS = 3
LONG = 900  # steps that take longer than any test
HOLE = (16, 16, 40, 48)


class Served:
    """A server on a nano base with a token, and the library beside it."""

    def __init__(self, small: Small, server: ServiceServer) -> None:
        self.small, self.server, self.url = small, server, server.url
        self.base = StableDiffusion.from_pretrained(small.base)

    def library(self, **fields: Any) -> list[str]:
        """The digests of the pictures of a request, made here."""
        shared = {
            "prompt": "a red house",
            "num_inference_steps": STEPS,
            "guidance_scale": 7.0,
            "seed": 7,
            "base": self.small.base,
        }
        request = GenerationRequest.model_validate({**shared, "size": (PIXELS, PIXELS), **fields})
        return [digest(image) for image in generate(request, self.base)[0].images]

    def webui(self) -> Any:
        """The client of AUTOMATIC1111's web UI, with the token as its password."""
        port = int(self.url.rpartition(":")[2])
        return webuiapi.WebUIApi(port=port, username="anybody", password=TOKEN, sampler="Euler", steps=STEPS)

    def unit(self, **fields: Any) -> Any:
        """A unit of its ControlNet extension."""
        usual: dict[str, Any] = {"image": PICTURE, "module": "canny", "model": self.small.control, "processor_res": PIXELS}
        usual |= {"threshold_a": 100, "threshold_b": 200, **fields}
        return webuiapi.ControlNetUnit(**usual)

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        """Status and content of an answer."""
        return call(self.url + path, body, **{**BEARER, **headers})[:2]

    def jobs(self) -> set[str]:
        """The states of all jobs that have not ended."""
        return set(self.server.service.jobs.counts()) & {"queued", "running"}


def draw() -> Image.Image:
    image = Image.new("RGB", (PIXELS, PIXELS), "skyblue")
    image.paste("firebrick", (10, 20, 50, 60))
    return image


PICTURE = draw()
MASK = Image.new("L", PICTURE.size)
MASK.paste(255, HOLE)
CANNY = {"low": 100, "high": 200, "resolution": PIXELS}


def digest(image: Image.Image) -> str:
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def wait_for(is_so: Any) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def form(fields: dict[str, Any], files: dict[str, bytes]) -> tuple[bytes, str]:
    """A body of `multipart/form-data` as OpenAI's client sends it, and its type."""
    parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    for name, content in files.items():
        parts.append(f'name="{name}"; filename="x.png"\r\nContent-Type: image/png\r\n\r\n'.encode() + content)
    body = b"".join(b"--line\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts)
    return body + b"--line--\r\n", "multipart/form-data; boundary=line"


def png(image: Image.Image) -> bytes:
    return base64.b64decode(encode_png(image).partition(",")[2])


def holed() -> Image.Image:
    image = PICTURE.convert("RGBA")
    image.paste((0, 0, 0, 0), HOLE)
    return image
