"""What else than settings and weights decides the last bits of scores."""

from collections.abc import Mapping
from importlib.metadata import version

from icstream.model.runtimes.cpu import computing_features
from icstream.model.runtimes.select import RuntimeChoice, RuntimeName

_PACKAGES: Mapping[RuntimeName, str] = {
    "openvino": "openvino",
    "onnx": "onnxruntime",
    "torch": "torch",
}


def describe_arithmetic(choice: RuntimeChoice) -> dict[str, str]:
    """Return the features of the processor and the version of the library that computes.

    A library takes other instructions on another processor, and adds in another order: masks differ
    in a few pixels, most in int8.
    """
    package = _PACKAGES[choice.runtime]
    return {"processor": _processor(choice.device), "library": f"{package} {version(package)}"}


def _processor(device: str) -> str:
    if device == "cpu":
        return computing_features()
    import torch

    return str(torch.cuda.get_device_name(int(device.partition(":")[2] or 0)))
