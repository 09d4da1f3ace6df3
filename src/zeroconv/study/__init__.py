"""Blind studies with people: which pictures are better, and can two models be told apart? (Zhang et al., 2023, section 4)."""

from zeroconv.study.creation import StudyPlan, create_study
from zeroconv.study.pictures import StudyItem, common_stems, read_items, read_prompts
from zeroconv.study.report import StudyReport, report_study
from zeroconv.study.report_page import report_page
from zeroconv.study.store import AnsweredError, Question, Rater, Study, Vote

__all__ = [
    "AnsweredError",
    "Question",
    "Rater",
    "Study",
    "StudyItem",
    "StudyPlan",
    "StudyReport",
    "Vote",
    "common_stems",
    "create_study",
    "read_items",
    "read_prompts",
    "report_page",
    "report_study",
]
