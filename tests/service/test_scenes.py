"""Stages as the service renders them: kept, or answered as a preview."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zeroconv.data.world_pairs import truth
from zeroconv.errors import InputError
from zeroconv.service.pictures import PictureStore
from zeroconv.service.scenes import NOTHING, render_scene
from zeroconv.world import make
from zeroconv.world.staging import describe_seed

SIDE = 32


def values(**changes: Any) -> dict[str, Any]:
    stage = describe_seed(700).model_dump(mode="json")
    return {"stage": stage, "width": SIDE, "height": SIDE, "conditions": ["depth", "canny"], "preview": False, **changes}


def opened(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_kept_pictures_are_the_worlds(tmp_path: Path) -> None:
    store, wanted = PictureStore(tmp_path), make(700, size=SIDE)
    answer = render_scene(store, values())
    np.testing.assert_array_equal(np.asarray(Image.open(store.path(answer["picture"]))), wanted.rgb)
    for condition, kept in answer["maps"].items():
        assert Image.open(store.path(kept)).tobytes() == truth(wanted, condition).tobytes()
    assert answer["seen"] is None and answer["kind"] == wanted.kind and answer["caption"]


def test_a_preview_is_answered_and_not_kept(tmp_path: Path) -> None:
    answer = render_scene(PictureStore(tmp_path), values(preview=True))
    np.testing.assert_array_equal(opened(answer["picture"]), make(700, size=SIDE).rgb)
    assert set(np.unique(opened(answer["seen"]))) <= {*range(len(answer["things"])), NOTHING}
    assert not list(tmp_path.glob("[0-9a-f]*/*"))


def test_errors_name_their_field(tmp_path: Path) -> None:
    broken = values()
    broken["stage"]["things"][0]["part"] = "tree 99"
    for wrong, field in (
        (broken, "stage.things.0.part"),
        (values(conditions=["depth", "inpaint"]), "conditions.1"),
    ):
        with pytest.raises(InputError) as caught:
            render_scene(PictureStore(tmp_path), wrong)
        assert caught.value.field == field
