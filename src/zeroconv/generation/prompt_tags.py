"""What panels do for certain words of a prompt and this program does otherwise: said, instead of read as words."""

import re

from zeroconv.messages import Message, tell

__all__ = ["without_tags"]

TAG = re.compile(r"<(lora|lyco|hypernet):([^<>:]*)[^<>]*>")


def without_tags(prompt: str) -> str:
    """The prompt without `<lora:name:weight>` and its like, which are told."""
    for kind, name in TAG.findall(prompt):
        what = "give --lora FILE:WEIGHT instead" if kind != "hypernet" else "hypernetworks are not supported"
        tell(Message(f"<{kind}:{name}> in a prompt loads nothing here and is left out: {what}", "prompt.tag"))
    return TAG.sub("", prompt)
