"""Clients of other programs, unchanged, and our own, against one real server: their pictures are the library's, bit for bit."""

import base64
import io
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.serving import PIXELS, Small
from tests.web.served import (
    BEARER,
    CANNY,
    HOLE,
    LONG,
    MASK,
    PICTURE,
    STEPS,
    TOKEN,
    Served,
    digest,
    form,
    holed,
    png,
    wait_for,
)  # fmt: skip
from tests.web.study_server import call
from zeroconv.client import Client, ServerError
from zeroconv.conditions import extract
from zeroconv.data_uri import encode_png
from zeroconv.errors import InputError
from zeroconv.service import Service
from zeroconv.web.compatible.automatic1111.unit_words import decaying
from zeroconv.web.service_server import ServiceServer


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    small = Small(tmp_path_factory.mktemp("serving"))
    service = Service(small.settings())
    made = ServiceServer(service, token=TOKEN)
    service.start()
    thread = threading.Thread(target=made.run)
    thread.start()
    while not made.server.started:
        time.sleep(0.01)
    yield Served(small, made)
    made.stop()
    thread.join()
    service.stop(grace=0)


def test_webuiapi_makes_the_librarys_pictures(served: Served) -> None:
    api, shared = served.webui(), {"prompt": "a red house", "cfg_scale": 7.0, "width": PIXELS, "height": PIXELS}
    assert api.controlnet_version() and api.controlnet_model_list() == [served.small.control]
    assert "canny" in api.controlnet_module_list() and "Euler a" in api.util_get_sampler_names()
    assert api.util_get_model_names() == [served.small.base] and api.util_get_current_model() == served.small.base
    made = api.txt2img(**shared, seed=7, batch_size=2, controlnet_units=[served.unit(control_mode=2)], alwayson_scripts={})
    control = {"network": served.small.control, "image": encode_png(PICTURE), "extract": CANNY}
    wanted = served.library(controls=[control], num_images=2, weighting="decay", sampler="euler")
    assert [digest(image) for image in made.images[:2]] == wanted and made.info["all_seeds"] == [7, 8]
    softer = api.txt2img(**shared, seed=7, controlnet_units=[served.unit(control_mode=1)], alwayson_scripts={})
    layers = decaying(served.server.service.known().bases[0].connections)
    assert layers[-1] == 1 > layers[0]
    assert digest(softer.image) == served.library(controls=[{**control, "layers": layers}], sampler="euler")[0]
    other = api.txt2img(**shared, seed=7, controlnet_units=[served.unit(module="lineart_coarse")], alwayson_scripts={})
    lines = {"network": served.small.control, "condition": encode_png(extract("lineart", PICTURE, coarse=True))}
    assert digest(other.image) == served.library(controls=[lines], sampler="euler")[0]
    found = api.controlnet_detect([PICTURE], module="canny", threshold_a=100, threshold_b=200, processor_res=PIXELS)
    assert digest(made.images[2]) == digest(found.image) == digest(extract("canny", PICTURE, **CANNY))
    assert api.png_info(made.image).info == made.info["infotexts"][0] and "Seed: 7" in made.info["infotexts"][0]
    first = api.txt2img(**shared, alwayson_scripts={})
    again = api.txt2img(**shared, seed=first.info["seed"], alwayson_scripts={})
    assert digest(first.image) == digest(again.image) == served.library(seed=first.info["seed"], sampler="euler")[0]


def test_webuiapi_paints_a_part_anew(served: Served) -> None:
    api = served.webui()
    shared: dict[str, Any] = {"images": [PICTURE], "prompt": "a red house", "seed": 7, "width": PIXELS, "height": PIXELS}
    whole = api.img2img(**shared, denoising_strength=0.7, alwayson_scripts={})
    start = {"init_image": encode_png(PICTURE), "sampler": "euler"}
    assert digest(whole.image) == served.library(**start, strength=0.7)[0]
    masked = {**shared, "mask_image": MASK, "mask_blur": 0, "inpainting_fill": 1}
    part = api.img2img(**masked, denoising_strength=1, inpaint_full_res=False, alwayson_scripts={}).image
    assert digest(part) == served.library(**start, mask_image=encode_png(MASK), strength=1.0)[0]
    closer = api.img2img(**masked, denoising_strength=1, inpaint_full_res_padding=4, alwayson_scripts={}).image
    filled = api.img2img(**{**masked, "inpainting_fill": 0}, inpaint_full_res=False, alwayson_scripts={}).image
    for image in (part, closer, filled):
        inside = image.crop(HOLE).tobytes()
        assert image.size == PICTURE.size and inside != PICTURE.crop(HOLE).tobytes()
        image.paste(PICTURE.crop(HOLE), HOLE)
        assert digest(image) == digest(PICTURE)
    assert len({digest(image) for image in (closer, filled)}) == 1, "both are the picture but for the hole"


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("tiling", {"tiling": True}), ("enable_hr", {"enable_hr": True}), ("styles", {"styles": ["cinematic"]}),
    ("subseed_strength", {"subseed_strength": 0.2}), ("sampler_name", {"sampler_name": "PLMS"}), ("seed", {"seed": "x"}),
    ("scheduler", {"scheduler": "polyexponential"}), ("eta", {"sampler_name": "DDIM", "eta": 1.0}), ("steps", {"steps": 5000}),
    ("width", {"width": 4096}), ("height", {"height": 65}), ("batch_size", {"batch_size": 99}),
    ("override_settings.CLIP_stop_at_last_layers", {"override_settings": {"CLIP_stop_at_last_layers": 2}}),
    ("override_settings.sd_model_checkpoint", {"override_settings": {"sd_model_checkpoint": "/etc/passwd"}}),
    ("alwayson_scripts.ADetailer", {"alwayson_scripts": {"ADetailer": {"args": [True, {"ad_model": "face"}]}}}),
]  # fmt: skip
UNITS_REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("module", {"module": "reference_only"}), ("model", {"model": "../control"}), ("model", {"model": "None"}),
    ("image", {"image": "http://127.0.0.1/picture.png"}), ("image", {"image": "bm8gcGljdHVyZQ=="}), ("image", {"image": None}),
    ("guidance_start", {"guidance_start": 0.9, "guidance_end": 0.3}), ("weight", {"weight": 1e9}),
    ("control_mode", {"control_mode": "Guess"}), ("resize_mode", {"resize_mode": 7, "image": "SMALL"}),
    ("mask", {"module": "inpaint_only"}), ("advanced_weighting", {"advanced_weighting": [1.0] * 13}),
]  # fmt: skip


def test_what_would_change_the_picture_is_refused_in_their_shape(served: Served) -> None:
    sent = {"prompt": "a red house", "steps": STEPS}
    for field, body in REFUSED:
        status, found = served.post("/sdapi/v1/txt2img", {**sent, **body})
        assert (status, found.get("body")) == (422, field), found
        assert set(found) == {"error", "detail", "body", "errors"} and found["detail"]
    small = encode_png(PICTURE.resize((32, 32)))
    for field, changed in UNITS_REFUSED:
        unit = {"module": "canny", "model": served.small.control, "image": encode_png(PICTURE), **changed}
        unit["image"] = small if unit["image"] == "SMALL" else unit["image"]
        body = {**sent, "alwayson_scripts": {"ControlNet": {"args": [{"enabled": False}, unit]}}}
        status, found = served.post("/sdapi/v1/txt2img", body)
        assert (status, found["body"]) == (422, f"alwayson_scripts.controlnet.args.1.{field}"), found
    start = {**sent, "init_images": [encode_png(PICTURE)]}
    black = encode_png(Image.new("L", PICTURE.size))
    for field, body in (("mask", {"mask": black}), ("resize_mode", {"resize_mode": 3}), ("init_images", {"init_images": []})):
        assert served.post("/sdapi/v1/img2img", {**start, **body})[1]["body"] == field
    assert served.post("/sdapi/v1/options", {"sd_vae": "other.pt"})[0] == 422
    assert served.post("/sdapi/v1/options", {"quicksettings": "x"}) == (200, {"ignored": ["quicksettings"]})
    status, found = served.post("/sdapi/v1/txt2img", {**sent, "steps": 1, "unheard": "\ud800", "hr_scale": 2})
    assert status == 200 and json.loads(found["info"])["ignored"] == ["unheard"]
    status, found = served.post("/sdapi/v1/txt2img", b'{"prompt": "x", "steps": 1, "s_tmax": Infinity}')
    assert status == 422 and "Infinity" in found["detail"]


def test_units_are_read_as_the_extension_reads_them(served: Served) -> None:
    def images(**unit: Any) -> tuple[Any, list[str]]:
        unit = {"module": "canny", "model": served.small.control, "image": encode_png(PICTURE), **unit}
        body = {"prompt": "x", "steps": 4, "seed": 7, "alwayson_scripts": {"controlnet": {"args": [unit]}}}
        found = served.post("/sdapi/v1/txt2img", body)[1]
        return found["images"], json.loads(found["info"])["ignored"]

    usual, half = images(low_vram=True), images(guidance_end=0.5)
    assert usual[1] == [] and half[0] != usual[0] and images(guidance=0.5) == half
    assert images(strengths=0.1) == (usual[0], ["alwayson_scripts.controlnet.args.0.strengths"])
    in_lines = base64.encodebytes(png(PICTURE)).decode()
    assert "\n" in in_lines and images(image=in_lines) == usual == images(image=f"data:image/png;base64,{in_lines}")
    detected = [
        served.post("/controlnet/detect", {"controlnet_module": name, "controlnet_input_images": [in_lines]})
        for name in ("lineart_standard", "lineart_standard (from white bg & black line)")
    ]
    assert detected[0] == detected[1] and detected[0][0] == 200
    assert served.post("/sdapi/v1/interrupt", b"", Content_Type="application/x-www-form-urlencoded")[0] == 200


def test_progress_is_told_and_an_interrupted_job_ends(served: Served) -> None:
    found: list[Any] = []
    body = {"prompt": "a red house", "steps": LONG, "sampler_name": "Euler"}
    thread = threading.Thread(target=lambda: found.append(served.post("/sdapi/v1/txt2img", body)))
    thread.start()
    api, end = served.webui(), time.monotonic() + 30
    while not (progress := api.get_progress())["progress"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert progress["state"]["sampling_steps"] == LONG and progress["state"]["job"] == "txt2img"
    api.interrupt()
    thread.join(30)
    status, answer = found[0]
    assert status == 200 and answer["images"] == [] and api.get_progress()["state"]["job_count"] == 0


def test_a_client_that_leaves_frees_its_place(served: Served) -> None:
    content = json.dumps({"prompt": "a red house", "steps": LONG}).encode()
    head = f"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2]))) as connection:
        connection.sendall(head.encode() + content)
        wait_for(lambda: "running" in served.jobs())
    wait_for(lambda: not served.jobs())


def openai_picture(found: Any) -> str:
    return digest(Image.open(io.BytesIO(base64.b64decode(found["data"][0]["b64_json"]))))


def test_openais_requests_make_the_librarys_pictures(served: Served) -> None:
    control = {"network": served.small.control, "image": encode_png(PICTURE)}
    own = {"num_inference_steps": STEPS, "seed": 7, "guidance_scale": 7.0}
    body = {
        "model": served.small.base,
        "prompt": "a red house",
        "n": 1,
        "size": f"{PIXELS}x{PIXELS}",
        **own,
        "control": control,
    }
    status, found = served.post("/v1/images/generations", {**body, "user": "somebody", "response_format": "b64_json"})
    assert status == 200 and found["data"][0]["seed"] == 7 and found["size"] == f"{PIXELS}x{PIXELS}"
    assert openai_picture(found) == served.library(controls=[control])[0]
    start = {"init_image": encode_png(PICTURE), "mask_image": encode_png(MASK), "strength": 1.0}
    sent, kind = form({"prompt": "a red house", **own}, {"image": png(PICTURE), "mask": png(holed())})
    status, found = served.post("/v1/images/edits", sent, Content_Type=kind)
    assert status == 200 and openai_picture(found) == served.library(**start)[0]
    sent, kind = form({"prompt": "a red house", **own, "strength": 0.7}, {"image[]": png(PICTURE)})
    found = served.post("/v1/images/edits", sent, Content_Type=kind)[1]
    assert openai_picture(found) == served.library(init_image=encode_png(PICTURE), strength=0.7)[0]
    smaller = f"{PIXELS // 2}x{PIXELS}"
    for size, wanted in (("auto", f"{PIXELS}x{PIXELS}"), (smaller, smaller)):
        sent, kind = form({"prompt": "a red house", "num_inference_steps": 1, "size": size}, {"image": png(PICTURE)})
        status, found = served.post("/v1/images/edits", sent, Content_Type=kind)
        assert (status, found.get("size")) == (200, wanted), found
    sent, kind = form({"prompt": "x", "num_inference_steps": 1}, {"image": png(PICTURE.resize((PIXELS + 3, 3 * PIXELS - 2)))})
    status, found = served.post("/v1/images/edits", sent, Content_Type=kind)
    assert (status, found.get("size")) == (200, f"{PIXELS}x{3 * PIXELS}"), found
    assert call(f"{served.url}/v1/models", **BEARER)[1]["data"][0]["id"] == served.small.base


def test_openais_errors_have_their_shape(served: Served) -> None:
    smaller = {"image": png(PICTURE), "mask": png(holed().resize((8, 8)))}
    refused: list[tuple[int, str | None, Any]] = [
        (400, "response_format", {"response_format": "url"}), (404, "model", {"model": "dall-e-3"}), (400, "n", {"n": 0}),
        (400, "size", {"size": "9x"}), (400, "size", {"size": "4096x64"}), (400, "nonsense", {"nonsense": 1}),
        (400, "stream", {"stream": True}), (400, "controls", {"controls": []}), (400, "base", {"base": "/etc"}),
        (400, "control.0.network", {"control": {"network": "../x", "image": encode_png(PICTURE)}}),
        (400, "control.0.image", {"control": {"network": served.small.control, "image": "/etc/passwd"}}),
        (400, "prompt", {"prompt": None}), (400, None, ["no object"]),
    ]  # fmt: skip
    for status, field, changed in refused:
        body = {"prompt": "x", **changed} if isinstance(changed, dict) else changed
        found = served.post("/v1/images/generations", body)
        assert (found[0], found[1]["error"]["param"]) == (status, field), found
        assert set(found[1]["error"]) == {"message", "type", "param", "code"}
    for field, fields, files in (
        ("image", {}, {}), ("mask", {}, {"image": png(PICTURE), "mask": png(PICTURE)}), ("image", {}, {"image": b"no picture"}),
        ("seed", {"seed": "x"}, {"image": png(PICTURE)}), ("mask", {}, smaller),
        (None, {"control": f"[{10_000 * '{},'}{{}}]"}, {"image": png(PICTURE)}),
        (None, {"loras": f"[{6_000 * '0,'}0]", "size": 6_000 * "["}, {"image": png(PICTURE)}),
    ):  # fmt: skip
        sent, kind = form({"prompt": "x", **fields}, files)
        status, found = served.post("/v1/images/edits", sent, Content_Type=kind)
        assert (status, found["error"]["param"]) == (400, field), found
    assert served.post("/v1/images/edits", b"--x", Content_Type="multipart/form-data")[0] == 400


def test_no_picture_is_a_path_or_an_address(served: Served) -> None:
    """Every place of a picture or a name on every surface: nothing is read, nothing is asked."""
    unit: dict[str, Any] = {"module": "canny", "model": served.small.control, "image": encode_png(PICTURE)}
    control = {"network": served.small.control, "condition": encode_png(PICTURE)}
    with socket.create_server(("127.0.0.1", 0)) as bait:
        bait.settimeout(0.05)
        away = f"http://127.0.0.1:{bait.getsockname()[1]}/x.png"
        for text in (away, f"{served.small.folder}/control/config.json", "file:///etc/passwd", "data:,", "picture:../x", "\0"):
            units = [{**unit, name: text} for name in ("image", "mask", "effective_region_mask", "model", "module")]
            units = [{**one, "module": "inpaint"} if one.get("mask") else one for one in units]
            units.append({**unit, "image": {"image": text}})
            bodies: list[tuple[str, dict[str, Any]]] = [
                *(("/sdapi/v1/txt2img", {"alwayson_scripts": {"controlnet": {"args": [one]}}}) for one in units),
                ("/sdapi/v1/txt2img", {"override_settings": {"sd_model_checkpoint": text}}),
                ("/sdapi/v1/img2img", {"init_images": [text]}), ("/sdapi/v1/png-info", {"image": text}),
                ("/sdapi/v1/img2img", {"init_images": [encode_png(PICTURE)], "mask": text}),
                ("/sdapi/v1/options", {"sd_model_checkpoint": text}),
                *(("/controlnet/detect", {"controlnet_module": one, "controlnet_images": [text]}) for one in ("none", "canny")),
                *(("/v1/images/generations", {"prompt": "x", "control": {**control, name: text}}) for name in control),
                ("/v1/images/generations", {"prompt": "x", "control": {**control, "mask": text}}),
                ("/v1/images/generations", {"prompt": "x", "model": text}),
            ]  # fmt: skip
            for path, body in bodies:
                status, found = served.post(path, body)
                assert status in (400, 404, 422), (path, body, found)
        with pytest.raises(TimeoutError):
            bait.accept()


@pytest.mark.slow
def test_openais_own_client(served: Served) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key=TOKEN, max_retries=0)
    own = {"num_inference_steps": STEPS, "seed": 7, "guidance_scale": 7.0}
    control = {"network": served.small.control, "image": encode_png(PICTURE)}
    assert [model.id for model in client.models.list()] == [served.small.base]
    shared = {"model": served.small.base, "prompt": "a red house"}
    made = client.images.generate(**shared, response_format="b64_json", extra_body={**own, "control": control})
    assert openai_picture(made.model_dump()) == served.library(controls=[control])[0]
    files = {"image": ("x.png", png(PICTURE)), "mask": ("y.png", png(holed()))}
    made = client.images.edit(**shared, **files, extra_body={**own, "control": json.dumps([control])})
    start = {"init_image": encode_png(PICTURE), "mask_image": encode_png(MASK), "strength": 1.0}
    assert openai_picture(made.model_dump()) == served.library(controls=[control], **start)[0]
    with pytest.raises(openai.BadRequestError, match="b64_json"):
        client.images.generate(**shared, response_format="url")
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{served.url}/v1", api_key="wrong", max_retries=0).models.list()


def test_our_client_makes_the_librarys_pictures(served: Served) -> None:
    client, told = Client(served.url, TOKEN), list[str]()
    assert client.options()["bases"][0]["name"] == served.small.base
    control = {"network": served.small.control, "image": PICTURE}
    shared: dict[str, Any] = {"prompt": "a red house", "num_inference_steps": STEPS, "guidance_scale": 7.0, "seed": 7}
    made = client.generate(**shared, num_images=2, controls=[control], on_event=lambda name, _: told.append(name))
    wanted = served.library(controls=[{**control, "image": encode_png(PICTURE)}], num_images=2)
    assert [digest(one.image) for one in made] == wanted and [one.seed for one in made] == [7, 8]
    assert told[-1] == "done" and told.count("result") == 2 and made[0].adherence[0] is not None
    page = client.gallery("RED house", limit=1)
    assert page.pictures[0]["id"] == made[1].id and page.next is not None
    request = client.recall(made[0].content)
    assert [digest(one.image) for one in client.generate(request)] == wanted[:1]
    kept = client.upload(PICTURE)
    assert digest(client.picture(kept)) == digest(PICTURE) and client.upload(kept) == kept
    assert digest(client.extract("canny", kept, low=50)) == digest(extract("canny", PICTURE, low=50))


def test_our_client_says_what_is_wrong(served: Served) -> None:
    client = Client(served.url, TOKEN)
    control: dict[str, Any] = {"network": "x", "image": PICTURE}
    wrong: dict[str, dict[str, Any]] = {"num_images": {"num_images": 0}, "controls.0.network": {"controls": [control]}}
    for field, body in wrong.items():
        with pytest.raises(InputError) as caught:
            client.generate(prompt="x", **body)
        assert caught.value.field == field
    with pytest.raises(InputError, match="No such file"):
        client.generate(prompt="x", init_image="not-there.png")
    for code, what in (
        ("missing", lambda: client.cancel("x")),
        ("unauthorized", lambda: Client(served.url, "wrong").options()),
    ):
        with pytest.raises(ServerError) as failed:
            what()
        assert failed.value.code == code
    name = client.submit(prompt="x", num_inference_steps=LONG)
    assert client.cancel(name) == "cancelled"
    with pytest.raises(ServerError, match="cancelled"):
        client.follow(name)

    def interrupt(event: str, _: Any) -> None:
        if event == "step":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.generate(prompt="x", num_inference_steps=LONG, on_event=interrupt)
    wait_for(lambda: not served.jobs())
    with pytest.raises(ServerError) as away, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        Client(f"http://127.0.0.1:{free.getsockname()[1]}").options()
    assert away.value.code == "unreachable"


def test_the_token_is_asked_for_in_every_form(served: Served) -> None:
    for path in ("/sdapi/v1/sd-models", "/controlnet/model_list", "/v1/models"):
        good = base64.b64encode(f"somebody:{TOKEN}".encode()).decode()
        assert call(served.url + path, **BEARER)[0] == call(served.url + path, Authorization=f"Basic {good}")[0] == 200
        for wrong in ("Basic !", "Basic ", f"Basic {base64.b64encode(TOKEN.encode()).decode()}", "Bearer x"):
            assert call(served.url + path, Authorization=wrong)[0] == 401
        assert call(served.url + path)[0] == 401


def test_the_page_on_serving_does_what_it_says(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
    port = served.url.rpartition(":")[2]
    changes = {"port=7860)": f"port={port}, username='anybody', password={TOKEN!r})", "token=None": f"token={TOKEN!r}"}
    changes |= {"tiny-canny": served.small.control, "128": str(PIXELS), "7860": port}
    run = 0
    for code in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        if "openai" not in code:  # the slow proof above is about it
            for written, instead in changes.items():
                code = code.replace(written, instead)
            exec(code, {"picture": PICTURE})
            run += 1
    assert run == 2 and (tmp_path / "house.png").is_file()
