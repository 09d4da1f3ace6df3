"""The pages of a user study, and the server that shows them."""

from zeroconv.web.study.routes import study_router
from zeroconv.web.study.server import StudyServer, study_app

__all__ = ["StudyServer", "study_app", "study_router"]
