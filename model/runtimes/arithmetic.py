"""The library and CPU features that affect the last bits of logits."""

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
    """Return the CPU's features and the version of the library that computes.

    A library uses other instructions on another CPU and adds in another order, so that masks differ
    in a few pixels, most in int8.
    """
    package = _PACKAGES[choice.runtime]
    return {"processor": _processor(choice.device), "library": f"{package} {version(package)}"}


def _processor(device: str) -> str:
    if device == "cpu":
        return computing_features()
    import torch

    return str(torch.cuda.get_device_name(int(device.partition(":")[2] or 0)))
