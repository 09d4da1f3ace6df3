"""Trainings: started on data that the server lists, followed, asked for a probe or an end, resumed."""

from typing import TYPE_CHECKING, Any

from zeroconv.service import Service
from zeroconv.service.run_request import RunRequest

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["add_run_routes"]

KEPT = {"Cache-Control": "private, max-age=3600"}  # a run that is begun anew may write a sheet of that step again


def add_run_routes(router: "APIRouter", service: Service) -> None:
    """Add them to a router."""
    from fastapi import Response

    runs = service.runs

    @router.get("/runs", summary="All trainings, and what one may be started on")
    def list_runs() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {**runs.overview(), "request": RunRequest.model_json_schema()}

    @router.post("/runs", status_code=201, summary="Start a training")
    def start_run(body: RunRequest) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return runs.state(runs.start(body))

    @router.get("/runs/{run}", summary="A training as it stands")
    def show_run(run: str) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return runs.state(run)

    @router.post("/runs/{run}/{action}", status_code=202, summary="Stop a training, probe or save it now, or resume it")
    def ask_run(run: str, action: str) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        runs.act(run, action)
        return runs.state(run)

    @router.delete("/runs/{run}", summary="Delete a training that does not go on")
    def remove_run(run: str) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        runs.remove(run)
        return {"id": run}

    @router.get("/runs/{run}/samples/{name}", response_class=Response, summary="The sheet of a probe")
    def show_sheet(run: str, name: str) -> Response:  # pyright: ignore[reportUnusedFunction]
        return Response(runs.sheet(run, name), media_type="image/png", headers=KEPT)
