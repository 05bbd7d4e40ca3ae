"""Opt-out of libraries' telemetry."""

import sys
from typing import cast


def turn_off() -> None:
    """Prevent OpenVINO from sending telemetry, which it does on import.

    OpenVINO sends it with a package of its own, which also stores an identifier in the home folder,
    and works without that package. Nothing changes in a process that has already imported the
    package.
    """
    if "openvino_telemetry" not in sys.modules:
        # None makes an import fail (Python's reference, "The import system", 5.3.1).
        cast(dict[str, object], sys.modules)["openvino_telemetry"] = None
