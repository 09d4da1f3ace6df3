"""The words of other programs, without a server: samplers, modules and units, and what begins a picture from a picture."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zeroconv import conditions
from zeroconv.checkpoints.formats.controlnet_union import UNION_CONDITIONS
from zeroconv.client import Client, ServerError
from zeroconv.conditions.parameters import with_defaults
from zeroconv.data_uri import encode_png
from zeroconv.diffusion import SAMPLERS
from zeroconv.errors import InputError
from zeroconv.service.catalogue import BaseEntry, Catalogue, ControlEntry
from zeroconv.service.requests import check_parameters
from zeroconv.web.compatible.automatic1111.bodies import ImageToImageBody, UnitBody
from zeroconv.web.compatible.automatic1111.inpainting import Region, around, read_start
from zeroconv.web.compatible.automatic1111.modules import ALIASES, MODULES, find_module
from zeroconv.web.compatible.automatic1111.pictures import fill_hole
from zeroconv.web.compatible.automatic1111.samplers import list_samplers, list_schedulers, read_sampler
from zeroconv.web.compatible.automatic1111.unit_words import UNION_TYPES, decaying, weighting
from zeroconv.web.compatible.automatic1111.units import find_network, is_on, read_units
from zeroconv.web.compatible.openai.bodies import read_request
from zeroconv.web.compatible.surfaces import compatible_body

KNOWN = Catalogue((BaseEntry("tiny", 128, 128, "sd15", 13),), (), "cpu", "float32")


def test_every_listed_sampler_and_scheduler_is_read() -> None:
    found = set[str]()
    for sampler in list_samplers():
        for scheduler in list_schedulers():
            try:
                found.add(read_sampler(sampler["name"], scheduler["name"]))
            except InputError as error:
                assert error.field == "scheduler"
    assert found == set(SAMPLERS)
    assert read_sampler("DPM++ 2M", None) == read_sampler("DPM++ 2M Karras", "automatic") == "dpm++2m-karras"
    assert read_sampler("DPM++ 2M", "Uniform") == "dpm++2m" and read_sampler("Euler a", "Automatic") == "euler-a"


@pytest.mark.parametrize("base", ["tiny", "other"])
def test_every_module_is_an_extraction_of_its_condition(base: str) -> None:
    for name, module in MODULES.items():
        if module.condition is not None:
            parameters = module.extraction(base, (64, 64), 256)
            check_parameters(module.condition, parameters, name)
            with_defaults(conditions.get(module.condition), parameters)
    assert MODULES["canny"].extraction(base, (-1, 900), None) == {"low": 100, "high": 200}
    assert MODULES["softedge_hedsafe"].extraction("tiny", (None, None), None) == {"method": "gradient", "safe": True}


@pytest.mark.parametrize(
    ("name", "wanted"), [*ALIASES.items(), ("Canny", "canny"), (" lineart_standard (from white bg)", "lineart_standard")]
)
def test_modules_are_found_by_the_other_names_of_the_extension(name: str, wanted: str) -> None:
    assert find_module(name, "module") is MODULES[wanted]


def test_units_agree_on_what_is_more_important() -> None:
    def read(*modes: Any) -> str:
        units = [{"control_mode": mode} for mode in modes]
        return weighting(read_units({"controlnet": {"args": [*units, {"enabled": False, "control_mode": "?"}]}}))

    assert read("Balanced", 0) == "uniform" and read("My prompt is more important", 1, "Balanced") == "uniform"
    assert read(2, "ControlNet is more important") == "decay" and read() == "uniform"
    with pytest.raises(InputError, match="for all or none"):
        read("Balanced", 2)
    weights = decaying(13)
    assert weights[-1] == 1 and all(a / b == pytest.approx(0.825) for a, b in pairwise(weights))


UNION = {f"union#{name}": ControlEntry(f"union#{name}", name, ("xl",)) for names in UNION_CONDITIONS for name in names}
ALL = {**UNION, "edges": ControlEntry("edges", "canny", ("xl",))}


def choose(model: str, module: str = "none", **fields: Any) -> str:
    """The network that a unit means."""
    unit = UnitBody.model_validate({"model": model, "module": module, **fields})
    return find_network(unit, MODULES[module], ALL, "xl").name


def test_a_control_type_says_which_condition_a_union_follows() -> None:
    assert [choose("union [0a1b2c3d]", union_control_type=kind) for kind in UNION_TYPES] == [
        f"union#{names[0]}" for names in UNION_CONDITIONS
    ]
    assert choose("union", "mlsd", union_control_type="hard_edge") == choose("union", "mlsd") == "union#lines"
    assert choose("union", "canny", union_control_type="DEPTH") == "union#depth"  # the control type has the last word
    for silent in ("Unknown", None):
        assert choose("union", "openpose", union_control_type=silent) == "union#pose"
    assert choose("union#depth", union_control_type="Depth") == "union#depth"
    assert choose("edges", union_control_type="Hard Edge") == "edges"


@pytest.mark.parametrize(
    ("model", "kind", "field", "said"),
    [
        ("union", "Unknown", "model", "follows pose, depth, .* nothing says which; expected union_control_type"),
        ("union", "Face", "union_control_type", "'Face'; expected Unknown or one of OpenPose, Depth, Soft Edge"),
        ("union#pose", "Depth", "union_control_type", "'Depth', and model 'union#pose' follows pose; expected"),
        ("edges", "Depth", "union_control_type", "follows canny"),
        ("onion", "Depth", "model", "expected one of union#pose, "),
    ],
)
def test_a_union_without_a_condition_is_refused(model: str, kind: str, field: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        choose(model, union_control_type=kind)
    assert caught.value.field == field


def test_scripts_that_ask_for_nothing_are_let_in() -> None:
    for off in ([], [False], [False, {"ad_model": "face"}], [{"enabled": False}], [{"ad_model": "None"}], [None, 0, ""]):
        assert not is_on(off), off
        assert read_units({"other": {"args": off}}) == {}
    for on in ([True], [{"enabled": True}], [{"ad_model": "face"}], ["x"]):
        assert is_on(on), on


def test_the_box_holds_the_mask_and_has_the_shape() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        wide, high = (int(side) for side in rng.integers(16, 200, 2))
        left, top = int(rng.integers(0, wide)), int(rng.integers(0, high))
        mask = Image.new("L", (wide, high))
        mask.paste(255, (left, top, int(rng.integers(left, wide)) + 1, int(rng.integers(top, high)) + 1))
        size = (int(rng.integers(1, 9)) * 64, int(rng.integers(1, 9)) * 64)
        box, inner = around(mask, size, int(rng.integers(0, 20))), mask.getbbox()
        assert inner is not None and box[0] <= inner[0] and box[1] <= inner[1] and box[2] >= inner[2] and box[3] >= inner[3]
        assert 0 <= box[0] < box[2] <= wide and 0 <= box[1] < box[3] <= high
        if box[2] - box[0] < wide and box[3] - box[1] < high:
            assert (box[2] - box[0]) / (box[3] - box[1]) == pytest.approx(size[0] / size[1], abs=0.5 * size[0] / size[1])


def test_a_hole_begins_with_the_colours_around_it() -> None:
    image, mask = Image.new("RGB", (64, 64), (200, 40, 40)), Image.new("L", (64, 64))
    image.paste((0, 255, 0), (20, 20, 40, 40))
    mask.paste(255, (20, 20, 40, 40))
    assert np.abs(np.asarray(fill_hole(image, mask)).astype(int) - (200, 40, 40)).max() <= 5  # rounded while it is blurred
    region = Region(image, mask, (10, 10, 50, 50))
    same = encode_png(region.cut((80, 80))[0])
    start = read_start(ImageToImageBody(init_images=[same], denoising_strength=0.5), (80, 80))
    assert start.fields == {"init_image": same, "strength": 0.5} and start.hole is None


def test_openais_fields_are_ours() -> None:
    found = read_request({"prompt": "x", "n": None, "size": "auto", "quality": "auto", "seed": 3}, KNOWN)
    assert (found.num_images, found.size, found.seed, found.guidance_scale, found.weighting) == (
        1, (128, 128), 3, 4.0, "condition-only",
    )  # fmt: skip
    assert read_request({"prompt": "x"}, KNOWN).seed != read_request({"prompt": "x"}, KNOWN).seed
    for field, wrong in (("control", "{"), ("quality", "hd"), ("sampler", "x"), ("num_images", 2), ("init_image", "x")):
        with pytest.raises(InputError) as caught:
            read_request({"prompt": "x", field: wrong}, KNOWN)
        assert caught.value.field == field


def test_bodies_are_those_of_the_surfaces() -> None:
    assert compatible_body("GET", "/v1/models", 9) is None and compatible_body("POST", "/api/v1/extract", 9) is None
    for path, kind in (("/v1/images/edits", "multipart/form-data"), ("/sdapi/v1/txt2img", "application/json")):
        body = compatible_body("POST", path, 9)
        assert body is not None and body.kinds == (kind,) and body.longest == 9


def test_our_client_asks_again_when_a_busy_server_says() -> None:
    answers = [(503, "0"), (429, "0"), (200, ""), (429, "3600")]

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, wait = answers.pop(0)
            body = json.dumps({"error": {"code": "busy", "message": "later", "field": None, "hint": None}}).encode()
            self.send_response(status)
            self.send_header("Retry-After", wait)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        thread = threading.Thread(target=lambda: [server.handle_request() for _ in range(4)])
        thread.start()
        client = Client(f"http://127.0.0.1:{server.server_port}")
        assert client.options()["error"]["code"] == "busy" and len(answers) == 1
        with pytest.raises(ServerError, match="later") as caught:
            client.options()
        thread.join()
    assert (caught.value.code, caught.value.status) == ("busy", 429)
    with pytest.raises(InputError, match="no address"):
        Client("ftp://127.0.0.1")


def test_our_client_waits_for_a_server_that_ends_and_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("zeroconv.client.client.time.sleep", pauses.append)
    gone, starts = ServerError("gone", "unreachable"), ServerError("it starts", "unavailable")
    answers: list[list[str] | ServerError] = [["1"], gone, gone, starts, [], ["2", "done"]]
    asked: list[str] = []

    def events(path: str, after: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        asked.append(after)
        answer = answers.pop(0)
        if isinstance(answer, ServerError):
            raise answer
        yield from ((one, "done" if one == "done" else "step", {}) for one in answer)

    client = Client(patience=30)
    monkeypatch.setattr(client.server, "events", events)
    monkeypatch.setattr(client.server, "json", lambda *_: {"results": []})
    assert client.follow("job") == [] and answers == []
    assert asked == ["", "1", "1", "1", "1", "1"] and pauses == [0.0, 0.2, 0.4, 0.8, 1.6]
    answers += [ServerError("no such job", "missing")]
    with pytest.raises(ServerError, match="no such job"):
        client.follow("job")
    monkeypatch.setattr(client.server, "patience", 0.1)
    answers += [[] for _ in range(9)]
    with pytest.raises(ServerError, match="again and again"):
        client.follow("job")
