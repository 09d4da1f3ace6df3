"""The pages of a user study, and the server that shows them."""

from zeroconv.web.study.routes import STUDY_PATHS, study_router
from zeroconv.web.study.server import StudyServer, study_api, study_app

__all__ = ["STUDY_PATHS", "StudyServer", "study_api", "study_app", "study_router"]
