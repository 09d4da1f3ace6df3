"""How far a client's job is, in the shape of the web UI."""

import time
from typing import Any

from zeroconv.service import Service
from zeroconv.web.compatible.automatic1111.clients import Client

__all__ = ["describe_progress"]

IDLE: dict[str, Any] = {
    "skipped": False, "interrupted": False, "stopping_generation": False, "job": "", "job_count": 0, "job_timestamp": "0",
    "job_no": 0, "sampling_step": 0, "sampling_steps": 0,
}  # fmt: skip


def describe_progress(client: Client, service: Service, without_picture: bool) -> dict[str, Any]:
    """The body of `/progress`.

    Args:
        client: who asks.
        service: that does its job.
        without_picture: whether the preview is left out.
    """
    jobs = list(client.jobs)
    if not jobs:
        return {"progress": 0.0, "eta_relative": 0.0, "state": IDLE, "current_image": None, "textinfo": None}
    job = jobs[0]
    found = service.board.describe(job.id)
    step, steps = found["step"], max(1, found["steps"])
    count = found["request"].get("num_images", 1)
    passed, share = time.time() - job.begun, step / steps
    state = {
        **IDLE,
        "job": job.kind,
        "job_count": count,
        "job_timestamp": time.strftime("%Y%m%d%H%M%S", time.localtime(job.begun)),
        "job_no": len(found["results"]),
        "sampling_step": step % max(1, steps // count),
        "sampling_steps": steps // count,
    }
    picture = None if without_picture else preview(service, job.id)
    eta = passed / share - passed if share else 0.0
    return {"progress": share, "eta_relative": eta, "state": state, "current_image": picture, "textinfo": None}


def preview(service: Service, job: str) -> str | None:
    """The last preview of a job as base64 text, a WebP."""
    events = service.board.follow(job).after(0)
    found = next((event for event in reversed(events) if event.name == "preview"), None)
    return None if found is None else str(found.data["image"]).partition(",")[2]
