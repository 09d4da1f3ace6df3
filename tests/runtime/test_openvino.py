"""OpenVINO computes what the networks compute, in the type that was asked for; and what it does not compute runs by plans."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
from torch import Tensor, nn

from tests.runtime.test_planned_unet import FAMILIES, Doubled, distance, features_of, inputs, new_network, new_unet
from tests.tiny import UNION, randomized
from zeroconv import ControlNet, ControlPipeline, StableDiffusion
from zeroconv.checkpoints.hub import derived_files
from zeroconv.control import ActiveControl, ControlledUNet
from zeroconv.errors import InputError
from zeroconv.generation import Control
from zeroconv.images import to_image
from zeroconv.messages import Message, listen
from zeroconv.runtime.openvino import kept, library, store
from zeroconv.runtime.openvino.compiled import CompiledNetwork
from zeroconv.runtime.openvino.error import WORSE
from zeroconv.runtime.openvino.library import core, is_installed
from zeroconv.runtime.openvino.store import CompiledStore
from zeroconv.runtime.openvino.unet import OpenVINOUNet
from zeroconv.runtime.proof import ALLOWED

pytestmark = pytest.mark.skipif(not is_installed(), reason='needs OpenVINO: pip install "zeroconv[openvino]"')
CLOSE = 1e-5
SMALL: dict[str, Any] = {
    "block_out_channels": (16, 32),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
}
"""A U-Net of two levels, which is compiled in a third of a second."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test finds what another one compiled."""
    monkeypatch.setattr(derived_files.constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    return tmp_path / "assets" / "zeroconv" / "openvino"


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_equals_the_ordinary_networks(family: str) -> None:
    """Two controls of different kinds, one masked and on the conditional rows alone, at a size that is no multiple of 8."""
    unet, told = new_unet(family, layers_per_block=1), list[Message]()
    networks = [new_network(unet, variant=variant) for variant in ("full", "lora")]
    for tensor in networks[1].parameters():
        tensor.add_(0.05 * torch.randn_like(tensor))
    plain, fast = ControlledUNet(unet), OpenVINOUNet(unet)
    z, text, added = inputs(family, 1, (9, 12), guided=True)
    one, other = (features_of(network, 1, (9, 12)) for network in networks)
    controls = [
        ActiveControl(networks[0], one, weights=torch.rand(len(networks[0].controlnet_down_blocks) + 1)),
        ActiveControl(networks[1], other, mask=torch.rand(1, 1, 72, 96), rows=slice(1, None)),
    ]
    with listen(told.append):
        for acting, t in ((controls, 321), (controls[:1], torch.tensor(20)), ([], 999)):
            assert distance(fast(z, t, text, acting, added), plain(z, t, text, acting, added)) < CLOSE
    assert distance(plain(z, 321, text, controls, added), plain(z, 321, text, [], added)) > 0.01, "the controls act"
    assert not told and len(fast.networks.entries) == 3, "each was compiled once, whatever acts with it"


@torch.no_grad()
def test_rows_that_differ_a_small_copy_pooling_and_an_unlocked_decoder() -> None:
    unet, told = new_unet("sd15", **SMALL), list[Message]()
    network = new_network(unet, variant="lite").unlock_decoder(unet)
    object.__setattr__(network.config, "global_pool_conditions", True)
    assert network.decoder is not None
    for tensor in network.decoder.parameters():
        tensor.mul_(1.1)
    plain, fast = ControlledUNet(unet), OpenVINOUNet(unet)
    z, text, _ = inputs("sd15", 3, (8, 16), guided=False)
    controls, steps = [ActiveControl(network, features_of(network, 3, (8, 16)))], torch.tensor([10, 500, 900])
    with listen(told.append):
        for _ in range(2):
            given = (z, steps, text, controls, None, network.decoder)
            assert distance(fast(*given), plain(*given)) < CLOSE
            z, text = z + 1, text * 0.5
    assert not told and len(fast.networks.entries) == 2


@torch.no_grad()
def test_a_union_of_conditions(tmp_path: Path) -> None:
    unet = new_unet("sdxl")
    randomized(ControlNetUnionModel(**UNION), 3).save_pretrained(tmp_path / "union")
    network = ControlNet.from_pretrained(tmp_path / "union", condition="depth").eval()
    features, embedding = network.encode_conditions(["depth", "pose"], [torch.rand(1, 3, 64, 64)] * 2, [1.0, 0.5])
    fast, (z, text, added) = OpenVINOUNet(unet), inputs("sdxl", 1, (8, 8), guided=True)
    for control in (ActiveControl(network, features, control_embedding=embedding), ActiveControl(network, features)):
        given = (z, 5, text, added)
        found, expected = fast.residuals(control, *given), control.residuals(*given)
        assert found is not None and expected is not None
        assert all(distance(found[site], expected[site]) < CLOSE for site in expected)
    assert len(fast.networks.entries) == 1


@torch.no_grad()
def test_float32_is_never_computed_in_another_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """Left alone, OpenVINO takes bfloat16 on a processor that has it: an error a thousand times larger."""
    unet = new_unet("sd15", **SMALL)
    plain, fast = ControlledUNet(unet), OpenVINOUNet(unet)
    z, text, _ = inputs("sd15", 1, (16, 16), guided=True)
    expected = plain(z, 321, text)
    assert distance(fast(z, 321, text), expected) < CLOSE
    half = unet.bfloat16()
    found = OpenVINOUNet(half)(z.bfloat16(), 321, text.bfloat16())
    assert found.dtype == torch.bfloat16 and 1e-4 < distance(found, expected) < 5e-2
    if "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        asked = {"INFERENCE_PRECISION_HINT": "bf16"}
        monkeypatch.setattr("zeroconv.runtime.openvino.compiled.settings", lambda _: asked)
        told, unet = list[Message](), new_unet("sd15", **SMALL)
        with listen(told.append):
            assert distance(OpenVINOUNet(unet)(z, 321, text), expected) < CLOSE, "by plans"
        assert [message.code for message in told] == ["runtime.no-openvino"] and "compute in" in told[0].text


@pytest.mark.parametrize("variant", ["full", "lora"])
@torch.no_grad()
def test_in_bfloat16_it_errs_not_much_more_than_the_ordinary_networks(variant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALLOWED, torch.bfloat16, 1e-6)  # so that float32 decides
    unet, told = new_unet("sd15", **SMALL), list[Message]()
    network = new_network(unet, variant=variant)
    z, text, _ = inputs("sd15", 1, (8, 8), guided=True)
    features = features_of(network, 1, (8, 8))
    exact = ControlledUNet(unet)(z, 5, text, [ActiveControl(network, features)])
    unet, network = unet.bfloat16(), network.bfloat16()
    given = z.bfloat16(), 5, text.bfloat16(), [ActiveControl(network, features.bfloat16())]
    with listen(told.append):
        found = OpenVINOUNet(unet)(*given)
    assert not told and found.dtype == torch.bfloat16
    assert distance(found, exact) < WORSE * distance(ControlledUNet(unet)(*given), exact)


@torch.no_grad()
def test_follows_changed_weights_and_text() -> None:
    unet = new_unet("sd15", **SMALL)
    plain, fast = ControlledUNet(unet), OpenVINOUNet(unet)
    z, text, _ = inputs("sd15", 1, (8, 8), guided=True)
    before = fast(z, 5, text)
    text[0].add_(1.0)  # in place: keys and values that were kept are no longer those of the text
    assert distance(fast(z, 5, text), plain(z, 5, text)) < CLOSE < distance(before, plain(z, 5, text))
    unet.down_blocks[0].resnets[0].conv1.weight.mul_(1.5)
    assert distance(fast(z, 5, text), plain(z, 5, text)) < CLOSE
    unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_q.weight = nn.Parameter(torch.randn(32, 32))
    another = text.clone()  # a new picture
    assert distance(fast(z, 5, another), plain(z, 5, another)) < CLOSE


@torch.no_grad()
def test_a_control_of_another_base_is_refused() -> None:
    unet, fast = new_unet("sd15", **SMALL), OpenVINOUNet(new_unet("sd15", **SMALL))
    z, text, _ = inputs("sd15", 1, (8, 8), guided=True)
    fast(z, 5, text)
    wider = new_unet("sd15", **SMALL | {"block_out_channels": (16, 48)})
    network = new_network(wider, variant="lite")
    controls = [ActiveControl(network, features_of(network, 1, (8, 8)))]
    for runner in (ControlledUNet(unet), fast):
        with pytest.raises(ValueError, match="another"):
            runner(z, 5, text, controls)


@torch.no_grad()
def test_keeps_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    unet, fast = new_unet("sd15", **SMALL), None
    monkeypatch.setattr(kept, "KEPT", 2)
    fast = OpenVINOUNet(unet)
    for width in (8, 9, 10):
        z, text, _ = inputs("sd15", 1, (8, width), guided=True)
        fast(z, 5, text)
    assert [key[1].width for key in fast.networks.entries] == [9, 10]  # type: ignore[attr-defined]
    monkeypatch.setattr(kept, "KEPT_BYTES", 1)
    networks = [new_network(unet, variant="lite") for _ in range(2)]
    controls = [ActiveControl(network, features_of(network, 1, (8, 10))) for network in networks]
    assert distance(fast(z, 5, text, controls), ControlledUNet(unet)(z, 5, text, controls)) < CLOSE
    assert len(fast.networks.entries) == 3, "a step keeps all that it uses"


@torch.no_grad()
def test_the_next_process_reads_what_was_compiled(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unet = new_unet("sd15", **SMALL)
    z, text, _ = inputs("sd15", 1, (8, 8), guided=True)
    expected, compiled = ControlledUNet(unet)(z, 5, text), list[int]()
    ordinary = kept.compile_graph

    def count(*given: Any) -> CompiledNetwork:
        compiled.append(1)
        return ordinary(*given)

    monkeypatch.setattr(kept, "compile_graph", count)

    def draw() -> int:
        compiled.clear()
        assert distance(OpenVINOUNet(unet)(z, 5, text), expected) < CLOSE
        return len(compiled)

    assert [draw(), draw()] == [1, 0]
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    for broken in (whole[:-7], whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:], b""):
        file.write_bytes(broken)
        assert [draw(), draw()] == [1, 0], "noticed, and mended"
    CompiledStore().write(file.name, b"whole, but nothing that OpenVINO reads")
    assert [draw(), draw()] == [1, 0]
    unet.conv_out.weight.mul_(2)
    expected = ControlledUNet(unet)(z, 5, text)
    assert draw() == 1, "other weights are another network"
    file.chmod(0o600)
    monkeypatch.setattr(store, "SMALL", 1)
    assert [draw(), len(list(cache.iterdir()))] == [0, 2]
    monkeypatch.setattr(kept, "SMALL", 1)
    assert [draw(), len(list(cache.iterdir()))] == [1, 2], "large ones are compiled anew"


def test_the_store_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BOUND", 300)
    found = CompiledStore(tmp_path / "store")
    for i in range(3):
        found.write(str(i), bytes([i]) * 100)
    assert found.read("0") is None and found.read("1") == b"\1" * 100 and found.read("2") == b"\2" * 100
    (tmp_path / "file").write_text("")
    told = list[Message]()
    with listen(told.append):
        CompiledStore(tmp_path / "file").write("a", b"")
    assert [message.code for message in told] == ["runtime.store"]


@torch.no_grad()
def test_what_it_does_not_compute_runs_by_plans_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    unet, told = new_unet("sd15", **SMALL), list[Message]()
    network = new_network(unet)
    copied: Any = network.down_blocks
    copied[0].attentions[0].transformer_blocks[0].attn2.processor = Doubled()
    z, text, _ = inputs("sd15", 1, (8, 8), guided=True)
    controls, fast = [ActiveControl(network, features_of(network, 1, (8, 8)))], OpenVINOUNet(unet)
    with listen(told.append):
        for t in (5, 6):
            assert distance(fast(z, t, text, controls), ControlledUNet(unet)(z, t, text, controls)) < CLOSE
    assert [message.code for message in told] == ["runtime.no-openvino", "runtime.unknown"] and "Doubled" in told[0].text
    ordinary = CompiledNetwork.__call__

    def wrong(self: CompiledNetwork, *given: Any, **inputs: Any) -> list[Tensor]:
        return [1.001 * one for one in ordinary(self, *given, **inputs)]

    monkeypatch.setattr(CompiledNetwork, "__call__", wrong)
    unet.conv_out.weight.mul_(2)  # the network from before is stored, and proven
    told.clear()
    with listen(told.append):
        assert distance(OpenVINOUNet(unet)(z, 5, text), ControlledUNet(unet)(z, 5, text)) < CLOSE
    assert [message.code for message in told] == ["runtime.no-openvino"] and "1.0e-03" in told[0].text


def test_pictures_of_the_tiny_base_are_the_same_up_to_rounding() -> None:
    base, network = StableDiffusion.from_pretrained("tiny"), ControlNet.from_pretrained("tiny-canny")
    control = Control(network, to_image(torch.zeros(3, 128, 128).index_fill(2, torch.tensor([40, 80]), 1.0)), end=0.5)

    def draw(pipeline: ControlPipeline) -> Tensor:
        return pipeline("a red house", [control], num_inference_steps=4, seed=3, weighting="decay").latents

    assert distance(draw(ControlPipeline(base).optimize(runtime="openvino")), draw(ControlPipeline(base))) < 1e-4


def test_without_the_library_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    library.library.cache_clear()
    monkeypatch.setattr(library, "is_installed", lambda: False)
    with pytest.raises(InputError, match=r'not installed: pip install "zeroconv\[openvino\]"') as refused:
        OpenVINOUNet(new_unet("sd15"))
    assert refused.value.field == "runtime"


def test_opening_the_library_reports_nothing(tmp_path: Path) -> None:
    """A plain import of OpenVINO writes a number into the home folder and sends it with an event."""
    code = (
        "import sys\n"
        "def watch(event, given):\n"
        "    if event.startswith('socket'):\n"
        "        print(event, given)\n"
        "sys.addaudithook(watch)\n"
        "from zeroconv.runtime.openvino.library import library\n"
        "assert library().get_version() and library().opset15\n"
        "assert not any(name.startswith('openvino_telemetry') for name in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"HOME": str(tmp_path)}, check=True
    )
    assert done.stdout == "" and not list(tmp_path.iterdir())
