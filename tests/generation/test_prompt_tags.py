"""Tags that load something in panels are said and left out, and the other words stay as they are."""

import pytest

from zeroconv.generation.prompt_tags import without_tags
from zeroconv.messages import Message, listen


@pytest.mark.parametrize(
    ("prompt", "left", "codes"),
    [
        ("a red house", "a red house", []),
        ("a <b> house < 3 > 2", "a <b> house < 3 > 2", []),
        ("a house <lora:style:0.8>, sun", "a house , sun", ["prompt.tag"]),
        ("<lora:style><hypernet:other:1>sun", "sun", ["prompt.tag", "prompt.tag"]),
        ("a house, embedding:bad-hands", "a house, embedding:bad-hands", []),
    ],
)
def test_tags_are_said_and_left_out(prompt: str, left: str, codes: list[str]) -> None:
    heard: list[Message] = []
    with listen(heard.append):
        assert without_tags(prompt) == left
    assert [message.code for message in heard] == codes
