"""A run on a packed base ends in the same bits however often it is interrupted; a base that cannot be packed is refused."""

import pytest
import torch

from tests.training.conftest import Settings
from zeroconv.control import ControlNet
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import StableDiffusion
from zeroconv.training import train
from zeroconv.training.parts import check_packing
from zeroconv.training.precision.locked_base import lock_base


def test_a_run_resumes_to_the_same_bits(settings: Settings) -> None:
    whole, parts = settings(pack_base=True), settings(pack_base=True, out=settings().checkpoint.out.with_name("parts"))
    first = parts.model_copy(update={"optimization": parts.optimization.model_copy(update={"steps": 2})})
    for config in (whole, first, parts):
        train(config)
    expected, found = (ControlNet.from_pretrained(config.checkpoint.out).state_dict() for config in (whole, parts))
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_what_cannot_be_packed_is_refused(settings: Settings, base: StableDiffusion) -> None:
    config = settings(pack_base=True)
    with pytest.raises(InputError, match="nothing to pack in a base of float32 weights on cpu") as caught:
        check_packing(config, lock_base(base, "float16", torch.float32))
    assert caught.value.field == "optimization.pack_base"
    with pytest.raises(InputError, match="shard=all") as caught:
        check_packing(settings(pack_base=True, shard="all"), base)
    assert caught.value.field == "parallel.shard"
    check_packing(config, base)
