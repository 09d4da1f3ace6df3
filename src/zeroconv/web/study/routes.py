"""What a rater's page asks for. Every route needs the secret of a link; nothing that it answers says who made a picture."""

from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from zeroconv.errors import InputError
from zeroconv.study.store import AnsweredError, Question, Rater, Study

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["STUDY_PATHS", "Ballot", "asset", "rater_state", "study_router"]

STUDY_PATHS = ("/study/", "/api/study/", "/assets/study/", "/favicon.ico")
"""Where the addresses of a study begin; a rater comes in by the secret in his link alone."""

ASSETS = {"study.css": "text/css; charset=utf-8", "study.js": "text/javascript; charset=utf-8"}
AT_ONCE = 2  # questions told at a time: this one, and the next, whose pictures are loaded beforehand
KEPT = "private, max-age=86400, immutable"  # a picture never changes under its name


class Ballot(BaseModel):
    """A vote as the page sends it.

    Attributes:
        place: of the question.
        ranks: by name of picture.
        choice: or the model that was named.
    """

    model_config = ConfigDict(extra="forbid")
    place: Annotated[int, Field(ge=0, le=10**6)]
    ranks: Annotated[dict[str, Annotated[int, Field(ge=1, le=100, strict=True)]], Field(max_length=100)] | None = None
    choice: Annotated[str, Field(max_length=1)] | None = None


def study_router(*studies: Study) -> "APIRouter":
    """The routes of studies, for any FastAPI application.

    Args:
        studies: them; a link leads to the one that it is of.

    Raises:
        ImportError: when FastAPI is not installed.
    """
    from fastapi import APIRouter, HTTPException, Response

    router = APIRouter()

    def find(token: str) -> tuple[Study, Rater]:
        for study in studies:
            if (rater := study.rater(token)) is not None:
                return study, rater
        raise HTTPException(404, "no study has this link")

    @router.get("/study/{token}")
    def show_page(token: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        status = 200 if any(study.rater(token) for study in studies) else 404
        return Response(asset("page.html"), status, media_type="text/html; charset=utf-8")

    @router.get("/favicon.ico", status_code=204)
    def show_no_icon() -> Response:  # pyright: ignore[reportUnusedFunction]
        return Response(status_code=204)

    @router.get("/assets/study/{name}")
    def show_asset(name: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        if name not in ASSETS:
            raise HTTPException(404, "there is no such page")
        return Response(asset(name), media_type=ASSETS[name])

    @router.get("/api/study/{token}")
    def show_state(token: str) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return rater_state(*find(token))

    @router.get("/api/study/{token}/pictures/{name}")
    def show_picture(token: str, name: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        png = find(token)[0].picture(name)
        if png is None:
            raise HTTPException(404, "there is no such picture")
        return Response(png, media_type="image/png", headers={"Cache-Control": KEPT})

    @router.post("/api/study/{token}/begin")
    def begin(token: str) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        study, rater = find(token)
        study.begin(rater)
        return rater_state(*find(token))

    @router.post("/api/study/{token}/votes")
    def vote(token: str, ballot: Ballot) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        study, rater = find(token)
        if not rater.is_begun:
            raise AnsweredError("the study was not begun", field="place", hint="reload the page")
        if (ballot.ranks is None) == (ballot.choice is None):
            raise InputError("expected either ranks or a choice", field="ranks")
        if ballot.ranks is not None:
            study.rank(rater, ballot.place, ballot.ranks)
        else:
            study.choose(rater, ballot.place, ballot.choice or "")
        return rater_state(*find(token))

    return router


def rater_state(study: Study, rater: Rater) -> dict[str, Any]:
    """What the page shows now.

    Args:
        study: it.
        rater: whose page it is.
    """
    coming = study.questions(rater, AT_ONCE)
    teaching = [] if rater.is_begun or study.kind == "ranking" else study.teaching(rater)
    return {
        "kind": study.kind,
        "title": study.title,
        "methods": len(study.methods),
        "begun": rater.is_begun,
        "done": rater.done,
        "total": rater.total,
        "teaching": [list(row) for row in teaching],
        "question": describe(coming[0]) if coming and rater.is_begun else None,
        "soon": list(coming[-1].pictures) if coming else [],
    }


def describe(question: Question) -> dict[str, Any]:
    """A question as JSON."""
    return {
        "place": question.place,
        "aspect": question.aspect,
        "pictures": list(question.pictures),
        "map": question.map,
        "prompt": question.prompt,
    }


def asset(name: str) -> bytes:
    """A file of this folder."""
    return (files("zeroconv.web.study") / name).read_bytes()
