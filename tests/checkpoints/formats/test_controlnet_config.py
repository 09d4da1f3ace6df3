"""The configuration of a ControlNet: a value that cannot change, there and back through `config.json`."""

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from tests.tiny import FAMILIES, build_unet
from zeroconv.checkpoints.architecture.unet_shape import UNetShape
from zeroconv.checkpoints.formats.controlnet_config import OWN_KEY, ControlNetConfig
from zeroconv.checkpoints.formats.controlnet_settings import config_from_unet
from zeroconv.checkpoints.hub.resolve import assets, embedded_names

FORMS: list[dict[str, Any]] = [
    {},
    {"variant": "lora", "rank": 3},
    {"variant": "lite", "connection": "gaussian", "base": "somewhere"},
    {"condition_encoder": "paper", "conditioning_channels": 1},
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", FAMILIES)
def test_through_json_and_back_it_is_equal(family: str, form: dict[str, Any]) -> None:
    config = config_from_unet(build_unet(FAMILIES[family]), **form)
    config = replace(config, condition="depth", extract={"method": "dpt", "resolution": 384}, channel_order="bgr")
    written = json.loads(json.dumps(config.to_dict()))
    assert written == config.to_dict() and ControlNetConfig.from_dict(written) == config
    assert config.unet_shape == replace(UNetShape.of_config(build_unet(FAMILIES[family]).config), out_channels=None)


@pytest.mark.parametrize("name", embedded_names("ControlNet"))
def test_a_folder_saved_by_an_earlier_version_says_the_same(name: str) -> None:
    stored = json.loads((assets() / name / "config.json").read_text("utf-8"))
    written = ControlNetConfig.from_dict(stored).to_dict()
    assert stored.pop(OWN_KEY).items() <= written.pop(OWN_KEY).items() and written == stored


def test_it_never_changes() -> None:
    config: Any = replace(config_from_unet(build_unet()), extract={"low": 5})
    with pytest.raises(FrozenInstanceError):
        config.condition = "canny"
    for mapping in (config.extract, config.unet_settings, config.extra):
        with pytest.raises(TypeError):
            mapping["low"] = 6
    assert copy.deepcopy(config) is config and pickle.loads(pickle.dumps(config)) == config
    assert hash(config) == hash(replace(config)) and config != replace(config, extract={})


def test_nothing_inside_it_changes() -> None:
    depths, mine = [[1], [2, 2]], {"tags": ["a", {"deep": [1]}]}
    config = ControlNetConfig(unet_settings={"transformer_layers_per_block": depths}, extra=mine)
    depths[0].append(9)
    mine["tags"].append("b")
    assert config.unet_settings["transformer_layers_per_block"] == ((1,), (2, 2))
    assert config.extra["tags"][0] == "a" and len(config.extra["tags"]) == 2
    with pytest.raises(TypeError):
        config.extra["tags"][1]["deep"] = 2
    written = config.to_dict()
    assert written["transformer_layers_per_block"] == [[1], [2, 2]] and written["tags"] == ["a", {"deep": [1]}]
    written["tags"].append("c")
    assert config.to_dict()["tags"] == ["a", {"deep": [1]}]


def test_settings_of_other_tools_are_kept() -> None:
    own = {"variant": "lite", "trained_on": ["a", "b"]}
    others = {"_diffusers_version": "0.35.0", "my_setting": {"a": [1, [2]]}, "addition_embed_type_num_heads": 64}
    config = ControlNetConfig.from_dict({**config_from_unet(build_unet()).to_dict(), **others, OWN_KEY: own})
    for kept in (config, replace(config, condition="depth"), pickle.loads(pickle.dumps(config))):
        written = json.loads(json.dumps(kept.to_dict()))
        assert others.items() <= written.items() and own.items() <= written[OWN_KEY].items()
        assert ControlNetConfig.from_dict(written) == kept
    config.check_size(10**6)
    replace(config, extra={"tags": [0] * 1000}).check_size(10**6)  # it builds no layers


def test_what_is_left_out_has_the_published_value() -> None:
    config = ControlNetConfig.from_dict({"_class_name": "ControlNetModel", "_diffusers_version": "0.35.0"})
    assert config == ControlNetConfig(unet_settings={}, extra={"_diffusers_version": "0.35.0"})
    assert (config.conditioning_channels, config.channel_order, config.global_pool_conditions) == (3, "rgb", False)
    assert (config.variant, config.connection, config.condition, config.base) == ("full", "zero", None, None)


def nest(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"controlnet_conditioning_channel_order": "gbr"},
        "controlnet_conditioning_channel_order is 'gbr'; expected 'rgb' or 'bgr'",
    ),
    ({"global_pool_conditions": "yes"}, "global_pool_conditions is 'yes'; expected true or false"),
    ({"conditioning_channels": "3"}, "conditioning_channels is '3'; expected 1 or more"),
    ({"conditioning_channels": 0}, "conditioning_channels is 0; expected 1 or more"),
    ({"conditioning_embedding_out_channels": 16}, "conditioning_embedding_out_channels is 16; expected widths"),
    ({"conditioning_embedding_out_channels": []}, "conditioning_embedding_out_channels is"),
    ({OWN_KEY: 3}, "_zeroconv is 3; expected an object"),
    ({OWN_KEY: {"variant": "huge"}}, "variant is 'huge'; expected 'full', 'lite' or 'lora'"),
    ({OWN_KEY: {"variant": ["full"]}}, "variant is"),
    ({OWN_KEY: {"connection": "loose"}}, "connection is 'loose'; expected 'zero' or 'gaussian'"),
    ({OWN_KEY: {"condition_encoder": "other"}}, "condition encoder form is 'other'; expected 'released' or 'paper'"),
    ({OWN_KEY: {"condition": ["canny"]}}, "condition is"),
    ({OWN_KEY: {"base": 5}}, "base is 5; expected a name"),
    ({OWN_KEY: {"extract": 5}}, "extract is 5; expected an extractor's parameters"),
    ({OWN_KEY: {"vectors": "all"}}, "vectors is 'all'; expected null, 'borrowed' or a list of names"),
    ({OWN_KEY: {"variant": "lora", "rank": 0}}, "rank is 0; expected 1 or more"),
    ({OWN_KEY: {"variant": "full", "rank": "16"}}, "rank is '16'; expected 1 or more"),
    ({OWN_KEY: {"extract": {"low": [1]}}}, "extract.low is [1]; expected a number, a text, true, false or null"),
    ({"my_setting": nest(5000)}, "its lists and objects lie more than 32 deep in each other"),
]


@pytest.mark.parametrize(("config", "message"), WRONG)
def test_what_describes_no_control_net_is_one_line(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        ControlNetConfig.from_dict(config)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value) and len(str(caught.value)) < 250
