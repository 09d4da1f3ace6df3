"""Settings: three ways in, one way to be wrong, and the learning rate over the steps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zeroconv.errors import InputError
from zeroconv.training import TrainConfig
from zeroconv.training.config.defaults import timesteps_of_step
from zeroconv.training.config.groups import GROUPS
from zeroconv.training.config.train_config import SHORT
from zeroconv.training.processes import Processes

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
sizes = st.floats(1e-12, 1e12)


def read(config: TrainConfig, *names: str) -> list[Any]:
    """Settings by their short names."""
    paths = [SHORT[name].split(".") for name in names]
    return [getattr(getattr(config, group), name) for group, name in paths]


def test_defaults_are_the_papers() -> None:
    config = TrainConfig.build()
    assert config == TrainConfig.model_validate({})
    assert (config.data.prompt_dropout, config.model.variant, config.model.connection) == (0.5, "full", "zero")


def test_file_then_keywords_then_assignments(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('steps = 5\nbatch_size = 6\nseed = 7\ncondition = "depth"\n')
    config = TrainConfig.build(file, ["seed=9", " learning_rate = 1e-4 "], steps=None, batch_size=2)
    assert read(config, "steps", "batch_size", "seed", "condition") == [5, 2, 9, "depth"]
    assert config.optimization.learning_rate == 1e-4
    listed = TrainConfig.build(assignments=["condition_encoder_channels=8,16, 32,64"])
    assert listed.model.condition_encoder_channels == (8, 16, 32, 64)


def test_parameters_of_the_extractor_are_a_table_and_words(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('condition = "soft-edge"\n[extract]\nmethod = "hed"\nsteps = 3\nsafe = true\n')
    config = TrainConfig.build(file, ["extract.steps=4", " extract.weights = a=b.safetensors ", "extract.sigma=1.5"])
    expected = {"method": "hed", "steps": 4, "safe": True, "weights": "a=b.safetensors", "sigma": 1.5}
    assert config.data.extract == expected and isinstance(config.data.extract["steps"], int)
    assert TrainConfig.build().data.extract == TrainConfig.build().probe.judge == {}
    assert TrainConfig.build(assignments=["judge.method=dpt"]).probe.judge == {"method": "dpt"}
    assert TrainConfig.build(assignments=["data.extract.safe=false"]).data.extract == {"safe": False}


@given(
    base=words,
    data=words,
    steps=st.integers(1, 10**9),
    rate=st.none() | sizes,
    decay=sizes,
    dropout=st.floats(0, 1),
    channels=st.none() | st.lists(st.integers(1, 64), min_size=1).map(tuple),
    extract=st.dictionaries(words, words | sizes | st.integers(-9, 9) | st.booleans(), max_size=3),
)
def test_toml_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    base: str,
    data: str,
    steps: int,
    rate: float | None,
    decay: float,
    dropout: float,
    channels: tuple[int, ...] | None,
    extract: dict[str, Any],
) -> None:
    out = Path("runs") / (data.replace("/", "") or "x")
    config = TrainConfig.build(
        base=base,
        data=data,
        out=out,
        steps=steps,
        learning_rate=rate,
        weight_decay=decay,
        prompt_dropout=dropout,
        condition_encoder_channels=channels,
        extract=extract,
    )
    file = tmp_path_factory.mktemp("toml", numbered=True) / "config.toml"
    file.write_bytes(config.to_toml().encode())
    again = TrainConfig.build(file)
    assert again == config and list(map(type, again.data.extract.values())) == list(map(type, extract.values()))


@pytest.mark.parametrize("assignment", ["learning_rte=1", "steps", "=4", "", "model_config=3", "extract.=1", "extracts.low=1"])
def test_unknown_assignments_list_the_known_settings(assignment: str) -> None:
    with pytest.raises(
        InputError, match=r"expected key=value with a key of: data, .*base, .*device, .*judge\.PARAMETER"
    ) as caught:
        TrainConfig.build(assignments=[assignment])
    assert repr(assignment) in str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "meant"),
    [("batchsize=3", "batch_size"), ("learning-rte=1", "learning_rate"), ("probes.every=5", "probe.every")],
)
def test_the_setting_that_was_meant_is_named(assignment: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"'; perhaps {meant}; expected key=value"):
        TrainConfig.build(assignments=[assignment])


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"steps": 1.5}, {"batch_size": -1}, {"learning_rate": float("nan")}, {"learning_rate": 0},
        {"learning_rate": float("inf")}, {"prompt_dropout": 1.1}, {"prompt_dropout": float("nan")}, {"variant": "half"},
        {"connection": "one"}, {"probe_guidance": 0.5}, {"max_gradient_norm": 0}, {"seed": -1}, {"warmup_steps": -1},
        {"condition_encoder_channels": "8,0,32"}, {"condition_encoder_channels": "8,x"},
    ],
)  # fmt: skip
def test_values_out_of_range_name_their_setting(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    ways: list[dict[str, Any]] = [{"assignments": [f"{name}={wrong[name]}"]}, wrong]
    for given_as in ways:
        with pytest.raises(InputError, match=rf"training setting '{SHORT[name]}[.0-9]*': .*got ") as caught:
            TrainConfig.build(**given_as)
        assert "\n" not in str(caught.value)
        assert (caught.value.field or "").startswith(SHORT[name])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = 'many'", "training setting 'optimization.steps'"),
        ("[optimization]\nsteps = 'many'", "training setting 'optimization.steps'"),
        ("[optimization]\nstep = 3", "there is no training setting 'optimization.step'"),
        ("probe = 3", "there is no training setting 'probe'"),
        ("'probe.steps.x' = 3", "there is no training setting 'probe.steps.x'"),
        ("unknown = 1", "there is no training setting 'unknown'"),
        ("learning_rate = nan", "training setting 'optimization.learning_rate'"),
        ("[train]\nsteps = 3", "training setting 'train'"),
        ("extract = 'hed'", "training setting 'data.extract': expected a valid dictionary, got 'hed'"),
        ("[extract]\nlow = [5]", r"training setting 'data.extract': low is \[5\]; expected a word"),
        ("[extract]\nlow = nan", "training setting 'data.extract': low is nan; expected a word, a finite number"),
        (
            "[optimization]\naccumulation = 3",
            r"^training settings of 'optimization': batch_size 8 cannot be computed in 3 equal parts$",
        ),
        ("[optimization]\nsteps = 0", r"^training setting 'optimization.steps': expected greater than or equal to 1, got 0$"),
        ("variant = 'half'", r"^training setting 'model.variant': expected 'full', 'lite' or 'lora', got 'half'$"),
        ("steps =", "is not a TOML file"),
        (b"\xff\xfe", "is not a TOML file"),
    ],
)
def test_broken_files_are_refused_in_one_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    file = tmp_path / "run.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message) as caught:
        TrainConfig.build(file)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"no configuration file at .*nowhere\.toml"):
        TrainConfig.build(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"optimization": {"steps": 0}}, "optimization.steps"), ({"model": {"condition_encoder_channels": [8, 0]}},
        "model.condition_encoder_channels.1"), ({"probe": 3}, "probe"), ({"unknown": 1}, "unknown"),
        ({"data": {"condition": "edges"}}, "data.condition"), ({"data": {"source": 3}}, "data.source"),
    ],
)  # fmt: skip
def test_every_constructor_refuses_in_one_line_with_the_field(values: dict[str, Any], field: str) -> None:
    group, inner = next(iter(values.items()))
    ways: list[Callable[[], object]] = [lambda: TrainConfig(**values), lambda: TrainConfig.model_validate(values)]
    ways.append(lambda: TrainConfig.model_validate_json(json.dumps(values)))
    if isinstance(inner, dict):
        ways.append(lambda: GROUPS[group](**inner))
    for number, build in enumerate(ways):
        with pytest.raises(InputError) as caught:
            build()
        assert caught.value.field == (field if number < 3 else field.partition(".")[2])
        assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_names_its_field(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no configuration file") as caught:
        TrainConfig.build(tmp_path / "nowhere.toml")
    assert caught.value.field == "config"


def test_every_setting_has_a_short_name_and_both_are_accepted(tmp_path: Path) -> None:
    assert SHORT.keys() == {
        "base", "vae", "prediction_type", "data", "condition", "extract", "judge", "out", "control", "variant", "rank",
        "connection", "condition_encoder", "condition_encoder_channels", "steps", "batch_size", "learning_rate", "optimizer",
        "warmup_steps", "decay_steps", "weight_decay", "max_gradient_norm", "prompt_dropout", "seed", "probe_every",
        "probe_count", "probe_steps", "probe_guidance", "save_every", "device", "licence", "max_broken", "workers",
        "accumulation", "timesteps", "logit_mean", "logit_std", "timestep_bias_range", "timestep_bias_multiplier",
        "min_timestep", "max_timestep", "min_snr_gamma", "decay", "ema_decay", "ema_on_cpu",
            "nonfinite", "shard", "unlock_decoder",
        "precision", "base_dtype", "fused", "checkpoint_encoder", "checkpoint_decoder", "pack_base",
        "track", "cache", "condition_dropout", "buckets", "resolution", "crops", "flip",
    }  # fmt: skip
    given: dict[str, Any] = {"data": "world:9", "probe_steps": 3, "save_every": 7, "batch_size": 5, "rank": 4}
    file = tmp_path / "run.toml"
    full: dict[str, Any] = {SHORT[name]: value for name, value in given.items()}
    for names in (given, full):
        file.write_text("\n".join(f"{name} = {value!r}" for name, value in names.items()))
        for config in (
            TrainConfig.build(file),
            TrainConfig.build(**names),
            TrainConfig.build(assignments=[f"{name}={value}" for name, value in names.items()]),
        ):
            assert read(config, *given) == list(given.values())


def test_a_settings_file_of_an_earlier_version_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('base = "tiny"\ndata = "world:64"\ncondition = "canny"\nextract = {low = 5}\njudge = {}\nout = "runs/a"\n'
                    'variant = "lora"\nsteps = 30\nprobe_every = 30\nprobe_guidance = 4.0\nsave_every = 250\n')  # fmt: skip
    config = TrainConfig.build(file)
    assert config == TrainConfig.build(
        data="world:64", extract={"low": 5}, out="runs/a", variant="lora", steps=30, probe_every=30
    )  # fmt: skip
    file.write_text(config.to_toml())
    assert "[probe]\nevery = 30\n" in config.to_toml() and TrainConfig.build(file) == config


def test_settings_cannot_be_changed_in_place() -> None:
    config = TrainConfig.build()
    with pytest.raises(ValidationError, match="frozen"):
        config.optimization.steps = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_learning_rate_rises_stays_and_falls() -> None:
    config = TrainConfig.build(steps=10, warmup_steps=4, decay_steps=5)
    expected = [0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    assert [config.optimization.scale_learning_rate(step) for step in range(10)] == pytest.approx(expected)


@given(steps=st.integers(1, 60), warmup=st.integers(0, 80), decay=st.integers(0, 80))
def test_learning_rate_is_a_positive_share_at_every_step(steps: int, warmup: int, decay: int) -> None:
    config = TrainConfig.build(steps=steps, warmup_steps=warmup, decay_steps=decay)
    rates = [config.optimization.scale_learning_rate(step) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_without_warmup_and_decay_the_rate_is_constant() -> None:
    assert {TrainConfig.build(steps=9, warmup_steps=0).optimization.scale_learning_rate(step) for step in range(9)} == {1.0}


def test_a_batch_is_refused_that_processes_cannot_divide() -> None:
    Processes(size=3).check_batch(12, 2)
    with pytest.raises(InputError, match=r"batch_size 8 cannot be divided over 3 processes of 2 equal parts .*a multiple of 6"):
        Processes(size=3).check_batch(8, 2)


def test_time_steps_are_drawn_from_their_range() -> None:
    def drawn(step: int, **settings: Any) -> range:
        return timesteps_of_step(TrainConfig.build(steps=9, **settings).optimization, True, 1000, step).possible

    assert drawn(0) == drawn(8) == range(1000)
    assert drawn(0, timesteps="high-first") == range(400, 1000) and drawn(6, timesteps="high-first") == range(1000)
    narrow = {"min_timestep": 200, "max_timestep": 700}
    assert drawn(0, **narrow) == range(200, 700)
    assert drawn(0, timesteps="high-first", **narrow) == range(400, 700)
    assert drawn(6, timesteps="high-first", **narrow) == range(200, 700)
    assert drawn(0, max_timestep=5000) == range(1000)
    with pytest.raises(InputError, match=r"min_timestep is 7 and max_timestep 7: nothing lies between"):
        TrainConfig.build(min_timestep=7, max_timestep=7)
    with pytest.raises(InputError, match=r"min_timestep is 1000, and this base's schedule has the time steps 0 … 999"):
        drawn(0, min_timestep=1000)


def test_time_steps_are_drawn_as_often_as_the_settings_say(tmp_path: Path) -> None:
    def weights(*assignments: str, step: int = 0) -> list[float] | None:
        config = TrainConfig.build(assignments=["steps=9", *assignments])
        (tmp_path / "run.toml").write_text(config.to_toml(), "utf-8")
        assert TrainConfig.build(tmp_path / "run.toml") == config
        found = timesteps_of_step(config.optimization, True, 10, step).weights
        return None if found is None else found.tolist()

    assert weights() is weights("timesteps=high-first") is None
    bias = "timestep_bias_range=6,8", "timestep_bias_multiplier=3"
    assert weights(*bias) == [1.0] * 6 + [3.0] * 2 + [1.0] * 2
    assert weights(*bias, "timesteps=high-first") == [1.0] * 2 + [3.0] * 2 + [1.0] * 2
    assert weights(*bias, "max_timestep=7") == [1.0] * 6 + [3.0]
    middle = weights("timesteps=logit-normal")
    assert middle is not None and middle == pytest.approx(middle[::-1]) and middle[5] > 2 * middle[0]
    shifted = weights("timesteps=logit-normal", "logit_mean=1", "logit_std=0.5", *bias)
    assert shifted is not None and shifted.index(max(shifted)) == 7
    for wrong, words in (
        (["logit_mean=1"], r"logit_mean or logit_std without logit-normal"),
        (["timesteps=logit-normal", "logit_std=0"], r"logit_std.*greater than 0"),
        (["timestep_bias_range=6,8"], r"expected both, such as"),
        (["timestep_bias_multiplier=2"], r"expected both, such as"),
        ([bias[0], "timestep_bias_multiplier=0"], r"timestep_bias_multiplier.*greater than 0"),
        (["timestep_bias_range=0,1000", bias[1]], r"which holds all of the time steps that are drawn, 0 … 9; expected some"),
        (["timestep_bias_range=8,6", bias[1]], r"which holds none of the time steps"),
        (["min_timestep=8", *bias], r"which holds none of the time steps that are drawn, 8 … 9"),
        (["timestep_bias_range=6", bias[1]], r"timestep_bias_range"),
    ):
        with pytest.raises(InputError, match=words) as found:
            weights(*wrong)
        assert "\n" not in str(found.value)
