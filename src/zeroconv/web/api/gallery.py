"""The gallery: found, downloaded, thrown away."""

from typing import TYPE_CHECKING, Annotated, Any

from zeroconv.service import Service
from zeroconv.web.api.bodies import GalleryAnswer
from zeroconv.web.api.pictures import KEPT

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["add_gallery_routes"]


def add_gallery_routes(router: "APIRouter", service: Service) -> None:
    """Add them to a router."""
    from fastapi import Query, Response

    @router.get("/gallery", summary="Pictures that were made, newest first")
    def find(  # pyright: ignore[reportUnusedFunction]
        query: Annotated[str, Query(max_length=500)] = "",
        before: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> GalleryAnswer:
        return GalleryAnswer(**vars(service.gallery.find(query, before, limit)))

    @router.delete("/gallery/{picture}", summary="Throw a picture away")
    def remove(picture: str) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        service.gallery.remove(picture)
        return {"id": picture}

    @router.get("/gallery/{picture}/file", response_class=Response, summary="A picture with what makes it again")
    def download(picture: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        found = service.gallery.get(picture)
        name = f"zeroconv-{found['seed']}-{found['id'][:8]}.png"
        headers = {**KEPT, "Content-Disposition": f'attachment; filename="{name}"'}
        return Response(service.pictures.read_png(picture), media_type="image/png", headers=headers)
