"""The settings of a training run, checked before anything is computed."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

from zeroconv.conditions import read_value
from zeroconv.errors import InputError
from zeroconv.training.config.group import Group
from zeroconv.training.config.groups import GROUPS, CheckpointConfig, DataConfig, ModelConfig, ParallelConfig, ProbeConfig
from zeroconv.training.config.optimization import OptimizationConfig

__all__ = ["TrainConfig"]

RENAMED = {
    "data.source": "data",
    "probe.every": "probe_every",
    "probe.count": "probe_count",
    "probe.steps": "probe_steps",
    "probe.guidance": "probe_guidance",
    "checkpoint.every": "save_every",
}
"""Settings whose short name, the one without a group, is not the name they have in their group."""

SHORT = {
    RENAMED.get(path, path.partition(".")[2]): path
    for path in (f"{group}.{name}" for group, kind in GROUPS.items() for name in kind.model_fields)
}
"""From the short name of every setting, such as "probe_every", to its full one, "probe.every"."""

TABLES = {"extract": "data.extract", "judge": "probe.judge"}  # settings that are tables of parameters
KNOWN = ", ".join((*SHORT, *(f"{name}.PARAMETER" for name in TABLES)))


class TrainConfig(Group):
    """Settings of `zeroconv train`; the defaults are the paper's and its authors' where they say.

    Every setting has a full name, its group and its name there, such as "probe.every", and a short one, such as
    "probe_every" (`SHORT`). `build`, `--set` and TOML files take both; `to_toml` writes groups.

    Raises:
        InputError: naming the setting, what was got and what was expected.
    """

    data: DataConfig = DataConfig.model_validate({})
    model: ModelConfig = ModelConfig.model_validate({})
    optimization: OptimizationConfig = OptimizationConfig.model_validate({})
    probe: ProbeConfig = ProbeConfig.model_validate({})
    parallel: ParallelConfig = ParallelConfig.model_validate({})
    checkpoint: CheckpointConfig = CheckpointConfig.model_validate({})

    @classmethod
    def build(cls, file: Path | None = None, assignments: Sequence[str] = (), **settings: Any) -> Self:
        """From a TOML file, then keyword settings that are not None, then `key=value` words; the last one wins.

        Raises:
            InputError: one line that names the setting, or "config" for a file that is not there or not TOML.
        """
        values: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
        if file is not None:
            set_all(values, read_toml(file))
        set_all(values, {key: value for key, value in settings.items() if value is not None})
        for assignment in assignments:
            assign(values, assignment)
        return cls.model_validate(values)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the text of a TOML file, as `to_toml` gives it.

        Raises:
            InputError: when it is none.
        """
        values: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
        set_all(values, parse_toml(text, "the settings"))
        return cls.model_validate(values)

    def to_toml(self) -> str:
        """The settings as a TOML file that `--config` reads, one table per group."""
        lines: list[str] = []
        for group, values in self.model_dump().items():
            lines += ["", f"[{group}]"]
            lines += [f"{key} = {to_toml(value)}" for key, value in values.items() if value is not None]
        return "\n".join(lines[1:]) + "\n"


def set_all(values: dict[str, dict[str, Any]], given: Mapping[str, Any]) -> None:
    """Put settings, in groups or by their short names, into the groups.

    Raises:
        InputError: for a name that is no setting's.
    """
    for key, value in given.items():
        path = SHORT.get(key, key)
        if key in GROUPS and isinstance(value, Mapping):  # before the path: "data" is a group, and short for "data.source"
            values[key] |= value
        elif path in SHORT.values():
            group, _, name = path.partition(".")
            values[group][name] = value
        else:
            raise InputError(f"there is no training setting {key!r}", field=key)


def assign(values: dict[str, dict[str, Any]], assignment: str) -> None:
    """Put one `key=value` into the groups.

    Raises:
        InputError: when it is none, or the key no setting's, listing the known ones.
    """
    key, equals, value = (part.strip() for part in assignment.partition("="))
    for short, path in TABLES.items():
        table, dot, parameter = key.removeprefix(path.removesuffix(short)).partition(".")
        if equals and dot and parameter and table == short:
            group, _, name = path.partition(".")
            before = values[group].get(name, {})
            values[group][name] = {**before, parameter: read_value(value)} if isinstance(before, Mapping) else before
            return
    path = SHORT.get(key, key)
    if not equals or path not in SHORT.values():
        nearest = get_close_matches(key.replace("-", "_"), [*SHORT, *SHORT.values()], n=1)
        guess = f"perhaps {nearest[0]}; " if equals and nearest else ""
        raise InputError(f"--set got {assignment!r}; {guess}expected key=value with a key of: {KNOWN}", field=key or None)
    group, _, name = path.partition(".")
    values[group][name] = value


def to_toml(value: bool | str | float | Path | tuple[int | str, ...] | dict[str, Any]) -> str:
    """One value in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{to_toml(key)} = {to_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(to_toml(inner) for inner in value) + "]"
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")  # TOML's strings are JSON's but for DEL
    return repr(value)


def read_toml(path: Path) -> dict[str, Any]:
    """A settings file.

    Raises:
        InputError: when it is not there, or not TOML.
    """
    if not path.is_file():
        raise InputError(f"no configuration file at {path}", field="config")
    try:
        return parse_toml(path.read_text("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a TOML file: {error}", field="config") from error


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """The tables of a settings file.

    Raises:
        InputError: when it is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name} is not a TOML file: {error}", field="config") from error
