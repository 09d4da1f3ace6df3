"""What panels do for certain words of a prompt and this program does otherwise: said, instead of read as words."""

import re

from zeroconv.messages import Message, tell

__all__ = ["without_tags"]

TAG = re.compile(r"<(lora|lyco|hypernet):([^<>:]*)[^<>]*>")
EMBEDDING = re.compile(r"\bembedding:\s*([\w.\-]+)")


def without_tags(prompt: str) -> str:
    """The prompt without `<lora:name:weight>` and its like; these, and `embedding:name`, are told."""
    for kind, name in TAG.findall(prompt):
        what = "give --lora FILE:WEIGHT instead" if kind != "hypernet" else "hypernetworks are not supported"
        tell(Message(f"<{kind}:{name}> in a prompt loads nothing here and is left out: {what}", "prompt.tag"))
    for name in EMBEDDING.findall(prompt):
        tell(Message(f"embedding:{name} in a prompt is read as plain words: there is no such embedding", "prompt.embedding"))
    return TAG.sub("", prompt)
