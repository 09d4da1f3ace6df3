"""Pictures inside text open as the files they are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.tiny import build_map
from zeroconv.data_uri import encode_png
from zeroconv.images import open_image, open_map, open_with_mask


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_picture_survives_in_its_mode(mode: str) -> None:
    image = build_map().convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.new("L", image.size, 0))
        assert np.array_equal(np.asarray(open_with_mask(encode_png(image))), np.asarray(image))
    else:
        assert open_image(encode_png(image)) == open_map(encode_png(image)) == image.convert("RGB")


def test_a_key_colour_is_not_kept_as_transparency() -> None:
    image = build_map()
    image.info["transparency"] = image.getpixel((0, 0))
    assert open_map(encode_png(image)) == build_map()


@pytest.mark.parametrize("uri", ["data:", "data:image/png;base64,", "data:image/png;base64,not base64!", "data:,AAAA"])
def test_what_holds_no_picture_is_one_line(uri: str) -> None:
    with pytest.raises(ValueError, match=r"^the embedded picture is [^\n]*$"):
        open_image(uri)


def test_a_cut_picture_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"^the embedded picture is [^\n]*$"):
        open_image(encode_png(build_map())[:600])


def test_a_path_object_is_never_read_as_text(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_image(tmp_path / "data:")
