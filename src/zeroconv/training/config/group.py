"""What every group of settings has in common."""

from typing import ClassVar

from pydantic import ConfigDict

from zeroconv.schema import Schema

__all__ = ["Group"]


class Group(Schema):
    """Settings that belong together."""

    model_config = ConfigDict(allow_inf_nan=False)
    noun: ClassVar[str] = "training setting"
