"""Labeled images for training and evaluation, read from several layouts."""

from icstream.model.errors import SampleError
from icstream.model.labels import VOID
from icstream.stages.data.check import Findings, check_data
from icstream.stages.data.cityscapes import open_cityscapes
from icstream.stages.data.folder import open_labeled_folder
from icstream.stages.data.layouts import DataFormat, open_data
from icstream.stages.data.samples import LabeledData, LabeledImage, Sample
from icstream.stages.data.selection import count_in_both, select_splits
from icstream.stages.data.supervisely_project import open_supervisely_project

__all__ = [
    "VOID",
    "DataFormat",
    "Findings",
    "LabeledData",
    "LabeledImage",
    "Sample",
    "SampleError",
    "check_data",
    "count_in_both",
    "open_cityscapes",
    "open_data",
    "open_labeled_folder",
    "open_supervisely_project",
    "select_splits",
]
