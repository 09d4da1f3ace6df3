"""Folders of pictures: read, whoever made them, and judged by their maps."""

from zeroconv.evaluation.folders.folder_report import Comparison, FolderReport, ScoredRow, SetMeasure
from zeroconv.evaluation.folders.judging import judge_folder
from zeroconv.evaluation.folders.manifest import Entry
from zeroconv.evaluation.folders.measuring import Measurer, measure_folders
from zeroconv.evaluation.folders.picture_folder import PictureFolder
from zeroconv.evaluation.folders.sizes import Sizes

__all__ = [
    "Comparison",
    "Entry",
    "FolderReport",
    "Measurer",
    "PictureFolder",
    "ScoredRow",
    "SetMeasure",
    "Sizes",
    "judge_folder",
    "measure_folders",
]
