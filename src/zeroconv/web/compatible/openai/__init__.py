"""OpenAI's API of pictures: `/v1/images/generations`, `/v1/images/edits` and `/v1/models`."""

from zeroconv.web.compatible.openai.routes import EDITS, openai_router

__all__ = ["EDITS", "openai_router"]
