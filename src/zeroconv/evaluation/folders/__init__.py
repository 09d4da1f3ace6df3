"""Folders of pictures: read, whoever made them, and judged by their maps."""

from zeroconv.evaluation.folders.folder_report import Comparison, FolderReport, ScoredRow, SetMeasure
from zeroconv.evaluation.folders.generated import GeneratedReport, StepsPoint, measure_pictures
from zeroconv.evaluation.folders.judging import judge_folder
from zeroconv.evaluation.folders.maker import FolderMaker
from zeroconv.evaluation.folders.making import MakingJob, Shard, make_pictures, remove_pictures
from zeroconv.evaluation.folders.manifest import Entry
from zeroconv.evaluation.folders.measurers import feature_measurer, measure_prompts, open_extractor, open_measurers
from zeroconv.evaluation.folders.measuring import Measurer, measure_folders
from zeroconv.evaluation.folders.picture_folder import PictureFolder
from zeroconv.evaluation.folders.plan import Plan
from zeroconv.evaluation.folders.sizes import Sizes

__all__ = [
    "Comparison",
    "Entry",
    "FolderMaker",
    "FolderReport",
    "GeneratedReport",
    "MakingJob",
    "Measurer",
    "PictureFolder",
    "Plan",
    "ScoredRow",
    "SetMeasure",
    "Shard",
    "Sizes",
    "StepsPoint",
    "feature_measurer",
    "judge_folder",
    "make_pictures",
    "measure_folders",
    "measure_pictures",
    "measure_prompts",
    "open_extractor",
    "open_measurers",
    "remove_pictures",
]
