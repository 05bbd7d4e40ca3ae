"""Labelled pictures for training and evaluation: one form, read from several layouts."""

from icstream.model.errors import SampleError
from icstream.model.labels import VOID
from icstream.stages.data.check import Findings, check_data
from icstream.stages.data.cityscapes import cityscapes
from icstream.stages.data.folder import labelled_folder
from icstream.stages.data.open_data import DataFormat, open_data
from icstream.stages.data.samples import LabelledData, LabelledPicture, Sample
from icstream.stages.data.supervisely_project import supervisely_project

__all__ = [
    "VOID",
    "DataFormat",
    "Findings",
    "LabelledData",
    "LabelledPicture",
    "Sample",
    "SampleError",
    "check_data",
    "cityscapes",
    "labelled_folder",
    "open_data",
    "supervisely_project",
]
