"""Usage data of libraries: none is sent."""

import sys
from typing import cast


def turn_off() -> None:
    """Keep OpenVINO from sending usage data, which it does when it is imported.

    It sends them with a package of its own, leaves an identifier in the home folder, and does
    without where that package cannot be imported. A process that has imported it before is left as
    it is.
    """
    if "openvino_telemetry" not in sys.modules:
        # None makes an import fail (Python's reference, "The import system", 5.3.1).
        cast(dict[str, object], sys.modules)["openvino_telemetry"] = None
