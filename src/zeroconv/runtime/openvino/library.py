"""The door to OpenVINO: an optional library, opened without its reports to its makers."""

import importlib.util
import sys
from functools import cache
from typing import Any

from zeroconv.errors import InputError

__all__ = ["check_installed", "core", "is_installed", "library"]

REPORTS = "openvino_telemetry"
"""OpenVINO's package that sends an event, with a number it writes into the home folder, whenever `openvino` is imported."""


def is_installed() -> bool:
    """Whether there is an OpenVINO to open; it is not opened for that."""
    return importlib.util.find_spec("openvino") is not None


def check_installed() -> None:
    """Refuse to go on without OpenVINO.

    Raises:
        InputError: when it is not installed.
    """
    if not is_installed():
        message = "the runtime 'openvino' needs the library of that name, which is not installed"
        raise InputError(message, field="runtime", hint='pip install "zeroconv[openvino]"')


@cache
def library() -> Any:
    """The module `openvino`; nothing is sent anywhere and no file is written, as it would be by a plain import.

    Raises:
        InputError: when it is not installed.
    """
    check_installed()
    silence = REPORTS not in sys.modules
    if silence:
        sys.modules[REPORTS] = None  # type: ignore[assignment]  # an import of it fails, and OpenVINO goes on without
    try:
        import openvino

        return openvino
    finally:
        if silence:
            del sys.modules[REPORTS]


@cache
def core() -> Any:
    """The one `Core` of this process."""
    return library().Core()
