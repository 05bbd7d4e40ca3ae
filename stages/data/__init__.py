"""Labelled images for training and evaluation: one form, read from several layouts."""

from icstream.model.errors import SampleError
from icstream.model.labels import VOID
from icstream.stages.data.check import Findings, check_data
from icstream.stages.data.cityscapes import cityscapes
from icstream.stages.data.folder import labeled_folder
from icstream.stages.data.open_data import DataFormat, open_data
from icstream.stages.data.samples import LabeledData, LabeledImage, Sample
from icstream.stages.data.supervisely_project import supervisely_project

__all__ = [
    "VOID",
    "DataFormat",
    "Findings",
    "LabeledData",
    "LabeledImage",
    "Sample",
    "SampleError",
    "check_data",
    "cityscapes",
    "labeled_folder",
    "open_data",
    "supervisely_project",
]
