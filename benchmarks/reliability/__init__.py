"""The trials of `record.py`, with a module for each kind."""

import sys
from pathlib import Path

# The trials share the tests' helpers for commands and damaged inputs.
sys.path.append(str(Path(__file__).parents[2] / "tests"))
