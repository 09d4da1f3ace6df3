"""From a request to pictures: seeds, scales, windows, weightings and masks, and clear words for wrong requests."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from tests.tiny import SD15, build_control, build_map, build_unet, count_calls, numbers
from zeroconv.control import ControlledUNet, ControlNet
from zeroconv.control.weighting import WEIGHTINGS, Weighting
from zeroconv.diffusion import SAMPLERS, Sampler
from zeroconv.errors import InputError
from zeroconv.generation import Control, ControlPipeline, GenerationRequest
from zeroconv.generation.control import describe_controls
from zeroconv.generation.denoiser import connection_heights
from zeroconv.images import open_map, write_png
from zeroconv.messages import Message, listen
from zeroconv.stable_diffusion import StableDiffusion, encode

STEPS: dict[str, Any] = {"num_inference_steps": 2, "seed": 7}


def request(**changes: Any) -> dict[str, Any]:
    """`STEPS` with changes."""
    return {**STEPS, **changes}


@pytest.fixture(scope="module")
def pipe(base: StableDiffusion) -> ControlPipeline:
    return ControlPipeline(base)


@pytest.fixture
def network(base: StableDiffusion) -> ControlNet:
    """A ControlNet as after training."""
    return build_control(base.unet, seed=1)


def differs(a: torch.Tensor, b: torch.Tensor) -> bool:
    return (a - b).abs().max().item() > 1e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_picture_i_is_the_same_alone_with_seed_plus_i(pipe: ControlPipeline, network: ControlNet, sampler: Sampler) -> None:
    controls = [Control(network, build_map())]
    several = pipe("a red house", controls, num_images=2, sampler=sampler, **STEPS)
    for i in range(2):
        alone = pipe("a red house", controls, sampler=sampler, **request(seed=7 + i))
        assert torch.equal(alone.latents[0], several.latents[i])
        assert alone.images[0].tobytes() == several.images[i].tobytes()
        assert alone.requests[0] == several.requests[i]
    assert differs(several.latents[0], several.latents[1])


@pytest.mark.parametrize(("sampler", "weighting"), [("dpm++2m", "uniform"), ("euler-a", "condition-only")])
def test_pictures_computed_together_are_equal_up_to_rounding(
    pipe: ControlPipeline, network: ControlNet, sampler: Sampler, weighting: Weighting
) -> None:
    maps, prompts = [build_map(seed=seed) for seed in range(3)], ["a red house", "a tree", "sea"]
    given, controls = request(sampler=sampler, weighting=weighting), [Control(network, maps)]
    each, together = (pipe(prompts, controls, batch_size=size, **given) for size in (1, 2))
    torch.testing.assert_close(together.latents, each.latents, atol=1e-4, rtol=1e-4)
    single = pipe("a tree", [Control(network, maps[1])], **request(sampler=sampler, weighting=weighting, seed=[8]))
    assert torch.equal(single.latents[0], each.latents[1])


def test_same_request_same_picture_other_seed_another(pipe: ControlPipeline) -> None:
    one, two, other = (pipe("a red house", **request(seed=seed)) for seed in (7, 7, 8))
    assert torch.equal(one.latents, two.latents) and differs(one.latents, other.latents)
    assert one.images[0].size == (64, 64) and one.images[0].mode == "RGB"


def test_what_changes_nothing_changes_nothing_and_says_so(pipe: ControlPipeline, network: ControlNet) -> None:
    plain = pipe("a red house", **STEPS).latents
    calls = count_calls(network)
    black = Image.new("L", (64, 64), 0)
    idle = {
        "no-effect.network": Control(build_control(pipe.base.unet), build_map()),
        "no-effect.scale": Control(network, build_map(), scale=0.0),
        "no-effect.layers": Control(network, build_map(), layers=[0.0] * 13),
        "no-effect.mask": Control(network, build_map(), mask=black),
    }
    for code, control in idle.items():
        heard: list[Message] = []
        with listen(heard.append):
            assert torch.equal(pipe("a red house", [control], **STEPS).latents, plain)
        assert [message.code for message in heard] == [code]
        assert calls == [] or code == "no-effect.mask"
    white = pipe("a red house", [Control(network, build_map(), mask=Image.new("L", (64, 64), 255))], **STEPS).latents
    assert torch.equal(white, pipe("a red house", [Control(network, build_map())], **STEPS).latents)
    assert differs(white, plain)


@pytest.mark.parametrize(("scale", "codes"), [(1e-30, ["no-effect.scale"]), (-9e-4, ["no-effect.scale"]), (0.01, [])])
def test_a_strength_that_nobody_can_see_is_said(scale: float, codes: list[str], network: ControlNet) -> None:
    assert [message.code for message in Control(network, build_map(), scale=scale).idle_reasons(20)] == codes


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scale=st.sampled_from([0.0, 0.5, 1.0]),
    ends=st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda ends: ends[0] < ends[1]),
    steps=st.integers(1, 6),
    box=st.one_of(st.none(), st.tuples(*[st.integers(0, 64)] * 4)),
    weighting=st.sampled_from(WEIGHTINGS),
    guidance=st.sampled_from([1.0, 4.0]),
    layers=st.sampled_from([None, [0.0] * 13, [0.0] * 12 + [1.0], [1.0] + [0.0] * 12]),
)
def test_a_control_acts_or_it_is_said_that_it_does_not(pipe: ControlPipeline, network: ControlNet, **given: Any) -> None:
    mask = None
    if given["box"] is not None:
        left, top, right, bottom = given["box"]
        mask = Image.new("L", (64, 64))
        mask.paste(255, (min(left, right), min(top, bottom), max(left, right), max(top, bottom)))
    start, end = given["ends"]
    control = Control(network, build_map(), given["scale"], start, end, mask, given["layers"])
    shared: dict[str, Any] = {
        "num_inference_steps": given["steps"], "guidance_scale": given["guidance"], "weighting": given["weighting"], "seed": 3,
    }  # fmt: skip
    heard: list[Message] = []
    with listen(heard.append):
        made = pipe("a red house", [control], **shared).latents
    acts = not torch.equal(made, pipe("a red house", **shared).latents)
    said = any(message.code.startswith("no-effect.") for message in heard)
    assert acts != said


@pytest.mark.parametrize(("start", "end", "runs"), [(0, 1, 5), (0, 0.4, 2), (0.4, 1, 3), (0.3, 0.8, 2), (0.9, 1, 1)])
def test_outside_its_window_a_network_is_not_run(
    pipe: ControlPipeline, network: ControlNet, start: float, end: float, runs: int
) -> None:
    calls = count_calls(network)
    control = Control(network, build_map(), start=start, end=end)
    windowed = pipe("a red house", [control], **request(num_inference_steps=5)).latents
    assert calls == [2] * runs  # both sides of the guidance in one batch
    assert differs(windowed, pipe("a red house", **request(num_inference_steps=5)).latents) == (runs > 0)


def test_condition_is_encoded_once_for_all_steps(pipe: ControlPipeline, network: ControlNet) -> None:
    calls = count_calls(network.controlnet_cond_embedding)
    pipe("a red house", [Control(network, build_map())], **STEPS)
    assert calls == [1]


@pytest.mark.parametrize(
    ("weighting", "guidance_scale", "rows"),
    [
        ("uniform", 7.5, 2),
        ("resolution", 7.5, 1),
        ("decay", 7.5, 1),
        ("condition-only", 7.5, 1),
        ("uniform", 1, 1),
        ("decay", 1, 1),
    ],
)
def test_weightings_act_on_the_conditional_side(
    pipe: ControlPipeline, network: ControlNet, weighting: Weighting, guidance_scale: float, rows: int
) -> None:
    calls = count_calls(network)
    pipe("a red house", [Control(network, build_map())], weighting=weighting, guidance_scale=guidance_scale, **STEPS)
    assert calls == [rows] * 2


def test_networks_that_give_means_act_on_the_conditional_side(pipe: ControlPipeline, network: ControlNet) -> None:
    network.config = replace(network.config, global_pool_conditions=True)
    calls = count_calls(network)
    pipe("a red house", [Control(network, build_map())], **STEPS)
    assert calls == [1] * 2


def test_layers_multiply_the_weighting(pipe: ControlPipeline, network: ControlNet) -> None:
    def latents(**how: Any) -> torch.Tensor:
        weighting = how.pop("weighting", "condition-only")
        return pipe("a red house", [Control(network, build_map(), **how)], weighting=weighting, **STEPS).latents

    heights = [8] * 3 + [4] * 3 + [2] * 3 + [1] * 4
    assert torch.equal(latents(layers=[8 / h for h in heights]), latents(weighting="resolution"))
    assert torch.equal(latents(layers=[0.825 ** (12 - i) for i in range(13)]), latents(weighting="decay"))
    for halves in ([0.5] * 13, np.full(13, 0.5), torch.full((13,), 0.5)):
        assert torch.equal(latents(layers=halves), latents(scale=0.5))
    assert differs(latents(layers=[0.5] * 13), latents())


def test_order_of_controls_does_not_matter(pipe: ControlPipeline, network: ControlNet) -> None:
    others = [build_control(pipe.base.unet, seed=seed) for seed in (2, 3)]
    a, b, c = Control(network, build_map(), 0.8), *(Control(other, build_map(seed=1), 0.5, end=0.5) for other in others)
    orders = [pipe("a red house", order, **STEPS).latents for order in ([a, b, c], [c, a, b], [b, c, a])]
    for latents in orders[1:]:
        torch.testing.assert_close(latents, orders[0], atol=1e-3, rtol=1e-3)
    assert differs(orders[0], pipe("a red house", [a, b], **STEPS).latents)


def test_what_is_handed_over_is_left_as_it_was(base: StableDiffusion, base_folder: Any, network: ControlNet) -> None:
    network.train()
    network.mid_block.eval()
    before = {name: (tensor.dtype, tensor.clone()) for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    pipe = ControlPipeline(StableDiffusion.from_pretrained(base_folder)).to("cpu", torch.bfloat16)
    for one in (pipe, ControlPipeline(base)):
        one("a red house", [Control(network, build_map(), 0.1)], **STEPS)
        assert [module.training for module in network.modules()] == modes
        assert all(tensor.requires_grad for tensor in network.parameters())
        for name, tensor in network.state_dict().items():
            assert tensor.dtype == before[name][0] and torch.equal(tensor, before[name][1])


def test_a_network_in_training_is_run_without_dropout_and_with_its_newest_weights(
    pipe: ControlPipeline, network: ControlNet
) -> None:
    wanted = pipe("a red house", [Control(network.eval(), build_map())], **STEPS).latents
    for module in network.down_blocks.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    assert torch.equal(pipe("a red house", [Control(network.train(), build_map())], **STEPS).latents, wanted)
    with torch.no_grad():
        network.get_parameter("controlnet_mid_block.weight").mul_(2)
    assert differs(pipe("a red house", [Control(network, build_map())], **STEPS).latents, wanted)


def test_guidance_of_one_asks_the_unet_once_and_ignores_the_negative_prompt(pipe: ControlPipeline) -> None:
    runner = pipe.ways.runner(4)
    assert isinstance(runner, ControlledUNet)
    calls = count_calls(runner)
    one, two = (pipe("a red house", guidance_scale=1, negative_prompt=n, **STEPS).latents for n in ("", "sea"))
    assert torch.equal(one, two) and calls == [1] * 4
    assert differs(*(pipe("a red house", guidance_scale=4, negative_prompt=n, **STEPS).latents for n in ("", "sea")))


@pytest.mark.parametrize("size", [(64, 64), (72, 40), (8, 8), (104, 120)])
def test_heights_of_the_connections_are_those_of_the_residuals(base: StableDiffusion, size: tuple[int, int]) -> None:
    channels, height, width = base.latent_shape(*size)
    for variant in ("full", "lite"):
        network = build_control(base.unet, variant=variant)
        encoded = encode(base.unet, numbers(1, channels, height, width), 1, numbers(1, 5, 16))
        heights = [tensor.shape[-2] for tensor in (*encoded.skips, encoded.middle)]
        assert connection_heights(network, height) == heights


@pytest.mark.parametrize("size", [(72, 40), (8, 8)])
def test_pictures_have_the_size_of_their_map(pipe: ControlPipeline, network: ControlNet, size: tuple[int, int]) -> None:
    out = pipe("a red house", [Control(network, build_map(*size))], weighting="resolution", **STEPS)
    assert out.images[0].size == size and out.requests[0].size == size
    assert pipe("a red house", size=size, **STEPS).images[0].size == size


def test_a_network_for_grey_maps(pipe: ControlPipeline) -> None:
    network = build_control(pipe.base.unet, seed=1, conditioning_channels=1)
    assert pipe("a red house", [Control(network, build_map())], **STEPS).latents.isfinite().all()


def test_progress_is_told_for_the_whole_call(pipe: ControlPipeline) -> None:
    for batch_size, wanted in ((1, [1, 2, 3, 4, 5, 6]), (2, [2, 4, 5, 6])):
        told: list[tuple[int, int]] = []
        pipe(
            "x", num_images=3, num_inference_steps=2, batch_size=batch_size, on_step=lambda i, n, told=told: told.append((i, n))
        )
        assert told == [(i, 6) for i in wanted]


def test_a_base_with_v_prediction(base: StableDiffusion) -> None:
    v = StableDiffusion(
        base.unet, base.vae, base.text_encoder, base.tokenizer, {**base.scheduler_config, "prediction_type": "v_prediction"}
    )
    one, other = (ControlPipeline(b)("a red house", **STEPS).latents for b in (base, v))
    assert v.prediction_type == "v_prediction" and differs(one, other)


def test_half_precision(base: StableDiffusion, base_folder: Any) -> None:
    pipe = ControlPipeline(StableDiffusion.from_pretrained(base_folder)).to("cpu", torch.bfloat16)
    out = pipe("a red house", [Control(build_control(base.unet, seed=1), build_map(), 0.1)], **STEPS)
    assert out.latents.dtype == torch.bfloat16 and len(out.images) == 1


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"num_images": 0}, "0 pictures are asked for"),
    ({"prompt": []}, "0 pictures are asked for"),
    ({"batch_size": 0}, "1 pictures are asked for, 0 at a time; expected 1 or more of both"),
    ({"seed": [1, 2]}, "2 seeds for 1 pictures; give one seed, or one each"),
    ({"sampler": "plms"}, "sampler is 'plms'; expected one of ddim, "),
    ({"weighting": "steep"}, "weighting is 'steep'; expected 'uniform', "),
    ({"num_inference_steps": 0}, "num_inference_steps is 0; expected greater than or equal to 1"),
    ({"num_inference_steps": 1000}, "num_inference_steps is 1000; expected less than or equal to 999"),
    ({"guidance_scale": math.nan}, "guidance_scale is nan; expected a finite number"),
    ({"prompt": None}, "prompt is None; expected a text, or one for each picture"),
    ({"prompt": ["a red house", 3]}, "prompt is ['a red house', 3]; expected a text"),
    ({"size": "64x64"}, "size is '64x64'; expected a whole number of pixels, or (width, height)"),
    ({"size": 60}, "pictures of 60x60 are asked for; expected multiples of 8"),
    ({"size": 0}, "pictures of 0x0 are asked for; expected multiples of 8"),
    ({"size": (60, 64)}, "pictures of 60x64 are asked for; expected multiples of 8"),
]


def test_numbers_and_arrays_of_numpy_and_paths_are_understood(
    pipe: ControlPipeline, network: ControlNet, tmp_path: Path
) -> None:
    image = build_map()
    wanted = pipe("a red house", [Control(network, image, 0.5)], **STEPS).latents
    array = np.asarray(image)
    write_png(image, tmp_path / "map.png")
    half, seven = cast(Any, np.float32(0.5)), cast(Any, np.int64(7))
    torch_order = torch.from_numpy(array.copy()).movedim(2, 0)
    for way in (array, array.astype(np.float32) / 255, torch.from_numpy(array.copy()), torch_order, tmp_path / "map.png"):
        assert torch.equal(pipe("a red house", [Control(network, way, half)], **STEPS).latents, wanted)
    made = pipe("a red house", [Control(network, str(tmp_path / "map.png"), half)], **request(seed=seven))
    assert torch.equal(made.latents, wanted)
    grey = pipe("a red house", [Control(network, array[:, :, 0] > 127)], **request(seed=np.array([7]))).latents
    assert grey.isfinite().all()
    again = GenerationRequest.model_validate_json(made.requests[0].model_dump_json())
    assert again.seed == 7 and again.controls[0].scale == 0.5


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 64, 64, 3), np.uint8), r"condition is a ndarray of shape \(2, 64, 64, 3\)"),
        (np.full((64, 64), 3.0), r"condition has numbers 3 … 3; floats belong in 0 … 1"),
        (np.full((64, 64), 300), r"condition has numbers 300 … 300; whole numbers belong in 0 … 255"),
        (np.full((64, 64), np.nan), "condition has numbers nan"),
        (7, r"condition is a int of shape \(\)"),
        (None, "condition is a NoneType"),
        ("nowhere.png", "no such file: nowhere.png"),
    ],
)
def test_what_is_no_picture_is_one_line(network: ControlNet, image: Any, message: str) -> None:
    with pytest.raises((InputError, FileNotFoundError), match=message):
        Control(network, image)


@pytest.mark.parametrize("scale", ["1", [1, 2], None])
def test_what_is_no_scale_is_one_line(network: ControlNet, scale: Any) -> None:
    with pytest.raises(InputError, match=r"^scale is .*; expected a finite number, usually 0 to 2$"):
        Control(network, build_map(), scale)


def test_what_is_no_control_is_one_line(pipe: ControlPipeline, network: ControlNet) -> None:
    with pytest.raises(InputError, match="network is 'tiny-canny'; expected a ControlNet: open it with"):
        Control(cast(Any, "tiny-canny"), build_map())
    with pytest.raises(InputError, match=r"controls.0 is a tuple; expected a Control: make one with") as caught:
        pipe("a red house", cast(Any, [(network, build_map())]), **STEPS)
    assert caught.value.field == "controls.0"
    control = Control(network, build_map())
    alone, listed = (pipe("a red house", cast(Any, given), **STEPS) for given in (control, [control]))
    assert torch.equal(alone.latents, listed.latents)


@pytest.mark.parametrize("seed", ["7", 1.5, [1, "2"], None])
def test_what_is_no_seed_is_one_line(pipe: ControlPipeline, seed: Any) -> None:
    with pytest.raises(InputError, match="expected a whole number, or one for each picture") as caught:
        pipe("a red house", **request(seed=seed))
    assert caught.value.field == "seed"


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_requests_are_one_line(pipe: ControlPipeline, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        pipe(**request(**{"prompt": "a red house", **change}))
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, InputError) and caught.value.field in {*change, "num_images"}


def test_maps_and_masks_of_another_size_are_one_line(pipe: ControlPipeline, network: ControlNet) -> None:
    for wrong in (
        [Control(network, build_map(64, 64)), Control(network, build_map(64, 32))],
        [Control(network, [build_map(64, 64), build_map(64, 32)])],
        [Control(network, build_map(), mask=Image.new("L", (64, 32)))],
    ):
        with pytest.raises(ValueError, match=r"^a map or mask is 64x32 pixels, the pictures are 64x64: give maps of [^\n]*$"):
            pipe("a red house", wrong, **STEPS)


def test_wrong_controls_are_one_line(pipe: ControlPipeline, network: ControlNet) -> None:
    other = build_control(build_unet({**SD15, "cross_attention_dim": 24}))
    with pytest.raises(ValueError, match=r"^this ControlNet was made for a base with cross_attention_dim 24, the base .* 16: "):
        pipe("a red house", [Control(other, build_map())], **STEPS)
    with pytest.raises(ValueError, match=r"^got 5 layer weights; this ControlNet has 13 connections$") as caught:
        pipe("a red house", [Control(network, build_map()), Control(network, build_map(), layers=[1.0] * 5)], **STEPS)
    assert isinstance(caught.value, InputError) and caught.value.field == "controls.1.layers"
    with pytest.raises(InputError, match=r"^scale is 1e\+38; expected less than or equal to 10000, usually 0 to 2$") as large:
        pipe("a red house", [Control(network, build_map(), scale=1e38)], **STEPS)
    assert large.value.field == "controls.0.scale"
    four = build_control(pipe.base.unet, seed=1, conditioning_channels=4)
    with pytest.raises(ValueError, match=r"^condition has shape \(1, 3, 64, 64\); expected \(B, 4, H, W\) in \[0, 1\]$"):
        pipe("a red house", [Control(four, build_map())], **STEPS)
    with pytest.raises(ValueError, match=r"^a control has 1 maps, picture 2 needs one"):
        pipe("a red house", [Control(network, [build_map()])], num_images=2, **STEPS)


def test_maps_that_are_made_when_asked_for_are_each_embedded(network: ControlNet) -> None:
    """Each is gone once it was described: the next one may get its address."""

    class Made(Sequence[Image.Image]):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: Any) -> Any:
            return Image.new("RGB", (64, 64), (index, 0, 0))

    described = describe_controls([Control(network, Made())], 8)
    assert [open_map(one.condition or "").getpixel((0, 0)) for (one,) in described] == [(i, 0, 0) for i in range(8)]


def test_a_mask_is_read_alike_however_it_is_given(network: ControlNet, tmp_path: Path) -> None:
    wanted = np.zeros((64, 64), np.uint8)
    wanted[:, :32] = 255
    shape = Image.merge("RGBA", [*Image.new("RGB", (64, 64)).split(), Image.fromarray(wanted)])
    shape.save(tmp_path / "shape.png")
    ways: list[tuple[Any, list[str]]] = [
        (Image.fromarray(wanted), []), (wanted, []), (wanted > 0, []), (wanted / 255, []),
        (wanted // 255, ["mask.scaled"]), (Image.fromarray(wanted // 255), ["mask.scaled"]),
        (shape, ["mask.alpha"]), (tmp_path / "shape.png", ["mask.alpha"]), (str(tmp_path / "shape.png"), ["mask.alpha"]),
    ]  # fmt: skip
    for given_mask, codes in ways:
        heard: list[Message] = []
        with listen(heard.append):
            control = Control(network, build_map(), mask=given_mask)
        assert control.mask is not None and np.array_equal(np.asarray(control.mask), wanted)
        assert [message.code for message in heard] == codes


def test_a_picture_is_the_same_beside_one_with_a_longer_prompt(pipe: ControlPipeline) -> None:
    prompts = ["sea", "sun", "a BREAK b", "(red:1.4) sea", "a BREAK c"]
    together = pipe(prompts, batch_size=3, **STEPS).latents
    for i, prompt in enumerate(prompts):
        alone = pipe(prompt, **request(seed=7 + i)).latents
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (lambda pipe: pipe("a", num_images="2"), "num_images"),
        (lambda pipe: pipe.to("cpu", "bf16"), "dtype"),
        (lambda pipe: pipe.optimize(dtype="bf16"), "dtype"),
        (lambda pipe: pipe.optimize(runtime="fast"), "runtime"),
        (lambda pipe: type(pipe.base).from_pretrained(pipe.base.name, dtype="bf16"), "dtype"),
    ],
)
def test_what_is_of_another_kind_is_one_line(base_folder: Path, ask: Callable[[Any], Any], field: str) -> None:
    with pytest.raises(InputError, match=field) as error:
        ask(ControlPipeline(StableDiffusion.from_pretrained(base_folder)))
    assert error.value.field == field and "expected" in str(error.value)


def test_numbers_in_words_and_a_type_in_place_of_a_device(base_folder: Path) -> None:
    pipe: Any = ControlPipeline(StableDiffusion.from_pretrained(base_folder))
    made = pipe("a", num_inference_steps="2", guidance_scale="4", seed=1)
    assert torch.equal(made.latents, pipe("a", num_inference_steps=2, guidance_scale=4.0, seed=1).latents)
    assert pipe.to(torch.bfloat16).base.dtype == torch.bfloat16 and pipe.base.device.type == "cpu"
